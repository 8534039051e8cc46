package membership

import "github.com/x/ringdht/internal/ring"

// Keys lists the services with keys that a member opens. The list must not be changed.
func (a *Authority) Keys(ref ring.Ref) []string {
	if m := a.find(ref); m != nil {
		return m.keys
	}
	return nil
}
