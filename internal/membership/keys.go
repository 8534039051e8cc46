package membership

import (
	"iter"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// MaxKeyServices is how many services with keys there may be in a ring.
const MaxKeyServices = 128

// Keys lists the services with keys that a member opens. The list must not be changed.
func (a *Authority) Keys(ref ring.Ref) []string {
	if m := a.find(ref); m != nil {
		return m.keys
	}
	return nil
}

// WithKeys yields the members that open a service with keys, in no order.
func (a *Authority) WithKeys(service string) iter.Seq[ring.Ref] {
	return func(yield func(ring.Ref) bool) {
		for _, m := range a.byID {
			if slices.Contains(m.keys, service) && !yield(m.Ref()) {
				return
			}
		}
	}
}

// BackWithKeys reports whether a member that opens a service with keys has come back from an earlier
// registry.
func (a *Authority) BackWithKeys(service string) bool {
	for _, m := range a.byID {
		if m.resumed && slices.Contains(m.keys, service) {
			return true
		}
	}
	return false
}

// OfIncarnation finds the member that has an incarnation.
func (a *Authority) OfIncarnation(inc uint64) (ring.Ref, bool) {
	for _, m := range a.byID {
		if m.Incarnation == inc {
			return m.Ref(), true
		}
	}
	return ring.Ref{}, false
}

// checkKeys refuses a newcomer that opens more services with keys than there may be.
func (a *Authority) checkKeys(keys []string) error {
	more := 0
	for _, k := range keys {
		if a.keyServices[k] == 0 {
			more++
		}
	}
	if more > 0 && len(a.keyServices)+more > MaxKeyServices {
		return ErrKeysFull
	}
	return nil
}

// countKeys counts the services with keys of a member that comes, by 1, or goes, by -1.
func (a *Authority) countKeys(m *member, by int) {
	for _, k := range m.keys {
		if a.keyServices[k] += by; a.keyServices[k] == 0 {
			delete(a.keyServices, k)
		}
	}
}

// maxTermStep bounds the step from one term to the next where the clock is behind. It is random for the
// same reason as that of incarnations. MaxTerms is more than one event at a registry uses up.
const (
	maxTermStep = 1 << 12
	MaxTerms    = 1 << 33
)

// Term draws a number greater than each term and incarnation that was given or reported: they have one
// generator. wall is the time of day.
func (a *Authority) Term(wall uint64) uint64 {
	if wall <= a.lastInc || wall > control.MaxIncarnation {
		wall = a.lastInc + 1 + a.Draw(maxTermStep)
	}
	a.lastInc = wall
	return wall
}
