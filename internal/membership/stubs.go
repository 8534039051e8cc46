package membership

import (
	"cmp"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// stub is what the registry knows of a member that is led around: a stub, see [ring.Router].
// It loses nothing but the frames of others.
type stub struct {
	entries, successors []ring.Peer // as it was told
	told                bool

	since   Time
	until   Time // then it relays again, unless it is found once more; 0 while it is on trial
	trial   []pair
	blame   []ring.Ref // members that the same reports fit as well
	witness []ring.Ref // the members that are an end of each pair that was reported
	others  bool       // most pairs that were stuck did not suspect it
	named   bool       // the operator was told
	pairs   int        // that healed
	why     string
}

// view is the table of a stub.
func (s *stub) view() (v ring.View) {
	for _, p := range s.entries {
		v.Entries = append(v.Entries, p.Ref())
	}
	for _, p := range s.successors {
		v.Successors = append(v.Successors, p.Ref())
	}
	return v
}

// stubs lists the members that are led around, by ascending ID.
func (a *Authority) stubs() (list []*member) {
	for _, m := range a.ledAround {
		if m.status == active {
			list = append(list, m)
		}
	}
	return list
}

func (a *Authority) stubMembers() (list []ring.Member) {
	for _, m := range a.stubs() {
		list = append(list, m.Member)
	}
	return list
}

// LastHops lists the stubs to which a member is the last hop, clockwise.
func (a *Authority) LastHops(id uint64) (ids []uint64) {
	if m := a.byID[id]; m != nil {
		for _, p := range m.lastHops {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// MaxStubs is how many members of a ring may be stubs at most: an eighth, so that the
// others can do their work, and none where there is hardly a way around.
func MaxStubs(members int) int {
	if members < 3 {
		return 0
	}
	return max(1, members/8)
}

// limitStubs releases the oldest stubs of a ring that has become too small for so many.
func (a *Authority) limitStubs(now Time) {
	list := a.stubs()
	if len(list) == 0 {
		return
	}
	over := len(list) - MaxStubs(len(a.activeMembers()))
	if over <= 0 {
		return
	}
	slices.SortStableFunc(list, func(x, y *member) int { return int(x.stub.since - y.stub.since) })
	for _, m := range list[:over] {
		a.releaseStub(now, m, "the ring has become too small to lead around it")
	}
}

// makeStub leads the others around a member.
func (a *Authority) makeStub(now Time, m *member, s *stub) {
	s.since, a.reroutedAt = now, now
	for _, x := range a.stuck { // all tables are planned anew
		x.rerouted = true
		x.through = x.through || slices.Contains(x.ways, m.Ref())
	}
	m.stub, m.needsManifest = s, true
	a.ledAround = append(a.ledAround, m)
	slices.SortFunc(a.ledAround, func(x, y *member) int { return cmp.Compare(x.ID, y.ID) })
	a.dirty, a.lastChange = true, now
}

// releaseStub makes a member relay again.
func (a *Authority) releaseStub(now Time, m *member, why string) {
	if m.stub.named {
		a.emitEvent(Relays, m, why)
	}
	m.stub, m.needsManifest = nil, true
	a.ledAround = without(a.ledAround, m)
	a.dirty, a.lastChange = true, now
}

// planStubs works out the tables of the stubs, and which member is the last hop to which stub.
// A manifest has these anyway.
func (a *Authority) planStubs(tables []ring.Member, told map[uint64]*control.Update) {
	around := ring.Stubs{Tables: tables, Stubs: a.stubMembers()}
	for _, found := range around.Stubs {
		m := a.byID[found.ID]
		entries, successors := around.View(m.ID, a.layout.Offsets)
		s := m.stub
		if s.told && slices.Equal(entries, s.entries) && slices.Equal(successors, s.successors) {
			continue
		}
		s.entries, s.successors, s.told = entries, successors, true
		m.successor = a.epoch
		if m.needsManifest {
			continue
		}
		u := a.updateFor(told, m.ID)
		u.Entries, u.Slots = int64(len(entries)), nil
		for i, p := range entries {
			u.Slots = append(u.Slots, slot(i, a.byID[p.ID]))
		}
		u.NewSuccessors, u.Successors = true, successors
	}
	hops := around.LastHops()
	for _, m := range a.sortedMembers() {
		if m.status != active || slices.Equal(m.lastHops, hops[m.ID]) {
			continue
		}
		m.lastHops, m.successor = hops[m.ID], a.epoch
		if !m.needsManifest {
			u := a.updateFor(told, m.ID)
			u.NewStubs, u.Stubs = true, m.lastHops
		}
	}
}
