package dashboard

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/x/ringdht/status"
)

// securityPart is the part security. An ID is a string.
type securityPart struct {
	Key         string  `json:"key"`
	Kept        bool    `json:"kept"`
	OldKey      string  `json:"old_key"`
	Refused     int64   `json:"refused"`
	Strangers   [][]any `json:"strangers"`
	Expelled    [][]any `json:"expelled"`
	ExpelledAll int     `json:"expelled_all"`
}

// maxListed bounds the sources and the expelled nodes that the page lists. The snapshot has all.
const maxListed = 10

// securityOf returns the part security, nil for an open ring.
func securityOf(s *status.Security) *securityPart {
	if s == nil {
		return nil
	}
	p := &securityPart{Key: s.Key, Kept: s.Kept, OldKey: s.OldKey, Strangers: [][]any{}, Expelled: [][]any{}, ExpelledAll: len(s.Expelled)}
	for _, n := range s.Refusals {
		p.Refused += n
	}
	strangers := slices.Clone(s.Strangers) // the snapshot is shared
	slices.SortStableFunc(strangers, func(a, b status.Stranger) int { return cmp.Compare(b.Last.UnixNano(), a.Last.UnixNano()) })
	for _, x := range strangers[:min(len(strangers), maxListed)] {
		p.Strangers = append(p.Strangers, []any{x.From, x.Cause, x.Times, millis(x.Last)})
	}
	for _, x := range slices.Backward(s.Expelled[max(0, len(s.Expelled)-maxListed):]) {
		p.Expelled = append(p.Expelled, []any{strconv.FormatUint(uint64(x.ID), 10), millis(x.When)})
	}
	return p
}

// encodeSidelined returns the part sidelined.
func encodeSidelined(members []status.Sidelined) []byte {
	b := []byte{'['}
	for _, m := range members {
		why := m.Why
		if m.Trial {
			why = "on trial: " + why
		}
		b = ident(append(comma(b), '['), uint64(m.Node.ID))
		b = append(text(b, cut(why)), ']')
	}
	return append(b, ']')
}
