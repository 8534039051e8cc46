package membership

import (
	"maps"
	"slices"

	"github.com/x/ringdht/internal/control"
)

// Announce is the view after the registry told the node which members came and went.
// random is as Draw in [Config]. In a large ring most of them are not on the node's list,
// so it copies nothing that does not change.
func (l *NodeView) Announce(a control.Announce, random func(n uint64) uint64) *NodeView {
	next := *l
	next.Members = control.Int(a.Members)
	for _, inc := range a.Incarnations {
		next.Newest = max(next.Newest, inc)
	}
	next.Over = l.rememberOver(a.Gone, a.Signatures, a.Epoch)
	// First the members that went: one that is back may have the same ID.
	ended := make(map[uint64]uint64, len(a.Left)+len(a.Gone))
	for _, g := range slices.Concat(a.Left, a.Gone) {
		ended[g.ID] = max(ended[g.ID], g.Incarnation)
	}
	next.removeFromList(ended)
	next.addToList(a, random)
	return &next
}

// removeFromList takes members off the list, up to an incarnation of each ID.
func (l *NodeView) removeFromList(ended map[uint64]uint64) {
	others, incs := l.Others, l.Incs
	over := func(i int) bool {
		inc, ok := ended[others[i]]
		return ok && incs[i] <= inc
	}
	first := 0
	for first < len(others) && (len(ended) == 0 || !over(first)) {
		first++
	}
	if first == len(others) {
		return
	}
	l.Others, l.Incs, l.Idle = slices.Clone(others[:first]), slices.Clone(incs[:first]), maps.Clone(l.Idle)
	for i := first; i < len(others); i++ {
		if over(i) {
			delete(l.Idle, others[i])
		} else {
			l.Others, l.Incs = append(l.Others, others[i]), append(l.Incs, incs[i])
		}
	}
}

// addToList puts newcomers on the list. If it is full, some of them take the place of
// others, so that it stays a fair sample. A newcomer with an ID that is on the list is a
// later incarnation.
func (l *NodeView) addToList(a control.Announce, random func(n uint64) uint64) {
	e := listEditor{NodeView: l, more: len(a.Added)}
	idle := make(map[uint64]struct{}, len(a.Idle))
	for _, id := range a.Idle {
		idle[id] = struct{}{}
	}
	for i, id := range a.Added {
		inc := uint64(0)
		if i < len(a.Incarnations) {
			inc = a.Incarnations[i]
		}
		place := e.find(id)
		switch {
		case id == l.Self.ID || place >= 0 && inc <= l.Incs[place]:
			continue
		case place >= 0:
		case len(l.Others) < control.MaxOthers:
			place = len(l.Others)
		default:
			if drawn := random(uint64(max(1, a.Members))); drawn < uint64(len(l.Others)) {
				place = int(drawn)
			} else {
				continue
			}
		}
		_, takesNoPart := idle[id]
		e.set(place, id, inc, takesNoPart)
	}
}

// listEditor changes a view's lists. It copies them before the first change.
type listEditor struct {
	*NodeView
	more           int // at most so many are added
	copied, ownSet bool
	at             map[uint64]int // the place of each ID, if there is much to look up
}

// fewLookups is how many IDs are looked up by a search of the list. It takes less time than a
// map would take to be made.
const fewLookups = 16

// find returns an ID's place on the list, -1 if it is not there.
func (e *listEditor) find(id uint64) int {
	if e.more <= fewLookups {
		return slices.Index(e.Others, id)
	}
	if e.at == nil {
		e.at = make(map[uint64]int, len(e.Others)+e.more)
		for i, o := range e.Others {
			e.at[o] = i
		}
	}
	if i, ok := e.at[id]; ok {
		return i
	}
	return -1
}

// set puts a member at a place of the list, or behind its end.
func (e *listEditor) set(place int, id, inc uint64, idle bool) {
	if !e.copied {
		e.copied = true
		room := min(len(e.Others)+e.more, control.MaxOthers)
		e.Others = append(make([]uint64, 0, room), e.Others...)
		e.Incs = append(make([]uint64, 0, room), e.Incs...)
	}
	if place == len(e.Others) {
		e.Others, e.Incs = append(e.Others, 0), append(e.Incs, 0)
	} else {
		e.setIdle(e.Others[place], false)
		if e.at != nil {
			delete(e.at, e.Others[place])
		}
	}
	e.Others[place], e.Incs[place] = id, inc
	if e.at != nil {
		e.at[id] = place
	}
	e.setIdle(id, idle)
}

func (e *listEditor) setIdle(id uint64, idle bool) {
	if _, is := e.Idle[id]; is == idle {
		return
	}
	if !e.ownSet {
		e.ownSet = true
		e.Idle = maps.Clone(e.Idle)
	}
	switch {
	case !idle:
		delete(e.Idle, id)
	case e.Idle == nil:
		e.Idle = map[uint64]struct{}{id: {}}
	default:
		e.Idle[id] = struct{}{}
	}
}
