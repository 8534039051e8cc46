package membership

import (
	"cmp"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// pair is two incarnations of which the first cannot reach the second.
type pair struct{ from, to ring.Ref }

// pairState is what is known of a pair.
type pairState struct {
	why      string
	via      uint64 // the waypoint of its detour, if it has one
	detoured bool   // it has a detour
}

// maxPairs bounds the pairs that are remembered. In a ring with more trouble than that, a
// longer list does not help.
const maxPairs = 4096

// UnreachablePair is a pair of which From cannot reach To directly.
type UnreachablePair struct {
	From, To ring.Member
	Why      string
}

// Trouble takes a member's report that it cannot open a link that it should have. An empty
// why means that it can again.
//
// A report is a level, not an edge: it holds until the member takes it back, or is told a
// table without that peer. A member that is reported is asked whether it is there. The
// pair gets a detour if it needs one.
func (a *Authority) Trouble(now Time, from, to ring.Ref, why string) {
	m, other := a.find(from), a.find(to)
	p := pair{from, to}
	if m == nil || other == nil || m == other { // it will be told of the end, or is wrong
		return
	}
	known := a.pairs[p]
	if known != nil || why != "" {
		m.record.trouble(now, from)
		other.record.trouble(now, from)
	}
	switch {
	case why == "" && known != nil:
		delete(a.pairs, p)
		a.detoursDirty = true
		a.emit(Effect{Kind: Healed, Ref: from, Addr: m.Addr, Other: to})
	case why == "":
	case known != nil:
		known.why = why
	default:
		a.ping(other)
		if len(a.pairs) >= maxPairs {
			a.notePairsFull(m, to, why)
			return
		}
		a.pairs[p] = &pairState{why: why}
		a.detoursDirty = true
		if other.suspicion == nil {
			a.emit(Effect{Kind: Unreachable, Ref: from, Addr: m.Addr, Other: to, Why: why})
		}
	}
}

// notePairsFull takes note that there is no room to remember a pair. The next plan makes
// room by forgetting pairs that are not tried any more. The member reports the pair again
// with its next table.
func (a *Authority) notePairsFull(m *member, to ring.Ref, why string) {
	a.detoursDirty = true
	if !a.pairsFull {
		a.pairsFull = true
		a.emit(Effect{Kind: PairsFull, Ref: m.Ref(), Addr: m.Addr, Other: to, Why: why})
	}
}

// Unreachable lists the pairs of which the first cannot reach the second directly.
func (a *Authority) Unreachable() (list []UnreachablePair) {
	for _, p := range a.sortedPairs() {
		if from, to := a.find(p.from), a.find(p.to); to.suspicion == nil {
			list = append(list, UnreachablePair{from.Member, to.Member, a.pairs[p].why})
		}
	}
	return list
}

// sortedPairs forgets the pairs of members that are gone, and lists the others.
func (a *Authority) sortedPairs() (list []pair) {
	for p := range a.pairs {
		if a.find(p.from) == nil || a.find(p.to) == nil {
			delete(a.pairs, p)
		} else {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(x, y pair) int {
		return cmp.Or(cmp.Compare(x.from.ID, y.from.ID), cmp.Compare(x.to.ID, y.to.ID))
	})
	return list
}

// planDetours finds detours for the pairs that need one, and adds them to what is told.
//
// A node that cannot reach a long entry routes by the entry before it. Only a frame for one
// of its successors may have no other way. It goes to a member with a link to that
// successor, in two hops which involve no other node, so it cannot loop.
func (a *Authority) planDetours(tables, all []ring.Member, told map[uint64]*control.Update) {
	a.detoursDirty = false
	defer func() { a.pairsFull = len(a.pairs) >= maxPairs }()
	detours := make(map[uint64][]control.Detour)
	hold := make(map[uint64][]ring.Peer)
	for _, p := range a.usefulPairs() {
		from, to := a.find(p.from), a.find(p.to)
		state := a.pairs[p]
		state.detoured = false
		if from.status != active || to.status != active || !a.triesSuccessor(p) {
			continue
		}
		via := a.detourFor(tables, from, to)
		if via == nil {
			continue
		}
		state.via, state.detoured = via.ID, true
		detours[from.ID] = append(detours[from.ID], control.Detour{To: to.ID, ID: via.ID, Incarnation: via.Incarnation, Addr: via.Addr})
		if theirs, _ := a.View(via.ID); !slices.Contains(theirs.Entries, p.to) {
			hold[via.ID] = append(hold[via.ID], to.Peer)
		}
	}
	for _, found := range all {
		m := a.byID[found.ID]
		if slices.Equal(m.detours, detours[m.ID]) && slices.Equal(m.hold, hold[m.ID]) {
			continue
		}
		m.detours, m.hold = detours[m.ID], hold[m.ID]
		u := a.updateFor(told, m.ID)
		u.NewDetours, u.Detours, u.Hold = true, m.detours, m.hold
	}
}

// usefulPairs forgets the pairs that are not tried any more, since no member will report
// that they have healed, and lists the others. A member reports again with each table
// which peers it cannot reach, so a pair that is tried again later is not lost.
//
// A link that was tried for a detour, and given up, is remembered while the detour is
// needed: else the same detour would be planned again and again.
func (a *Authority) usefulPairs() []pair {
	pairs := a.sortedPairs()
	detoured := make(map[ring.Ref]bool)
	for _, p := range pairs {
		if a.triesSuccessor(p) {
			detoured[p.from], detoured[p.to] = true, true
		}
	}
	return slices.DeleteFunc(pairs, func(p pair) bool {
		if a.triesSuccessor(p) || a.tries(p) || detoured[p.from] || detoured[p.to] {
			return false
		}
		delete(a.pairs, p)
		return true
	})
}

// lastView is the table that a member was told last. A newcomer's is in no plan before it
// is active.
func (a *Authority) lastView(m *member) ring.View {
	if m.status == waiting || m.status == linking {
		return m.introView
	}
	view, _ := a.View(m.ID)
	return view
}

// triesSuccessor says whether a member tries to reach another as one of its successors.
// As in [NodeView.Links], it tries as many as it takes to reach one.
//
// A stub counts as well: the member is the last hop to it.
func (a *Authority) triesSuccessor(p pair) bool {
	if slices.ContainsFunc(a.find(p.from).lastHops, func(s ring.Peer) bool { return s.Ref() == p.to }) {
		return true
	}
	for _, s := range a.lastView(a.find(p.from)).Successors {
		if s == p.to {
			return true
		}
		if a.pairs[pair{p.from, s}] == nil && a.find(s) != nil { // a dead one does not stop it: the member may not know yet
			return false
		}
	}
	return false
}

// tries says whether a member tries to reach another for any other reason.
func (a *Authority) tries(p pair) bool {
	from := a.find(p.from)
	return slices.Contains(a.lastView(from).Entries, p.to) ||
		slices.ContainsFunc(from.hold, func(h ring.Peer) bool { return h.Ref() == p.to }) ||
		slices.ContainsFunc(from.detours, func(d control.Detour) bool { return d.Waypoint().Ref() == p.to })
}

// detourFor picks the waypoint from one member to another. It takes the nearest member
// before the sink that has the sink in its table, or else the nearest one.
func (a *Authority) detourFor(tables []ring.Member, from, to *member) *member {
	n := len(tables)
	at, _ := slices.BinarySearchFunc(tables, to.ID, func(m ring.Member, id uint64) int { return cmp.Compare(m.ID, id) })
	var second *member
	for back := 1; back < min(n, maxDetourSearch); back++ {
		m := a.byID[tables[(at-back+n)%n].ID]
		if m == from || m.suspicion != nil || a.pairs[pair{from.Ref(), m.Ref()}] != nil || a.pairs[pair{m.Ref(), to.Ref()}] != nil {
			continue
		}
		if view, _ := a.View(m.ID); slices.Contains(view.Entries, to.Ref()) {
			return m
		}
		if second == nil {
			second = m
		}
	}
	return second
}

// maxDetourSearch is how many positions back from the sink detourFor looks.
const maxDetourSearch = 64

// WithoutDetour lists the pairs of the ring that cannot talk at all: no link and no detour. It lists
// none of a member that is left out.
func (a *Authority) WithoutDetour() []UnreachablePair {
	return slices.DeleteFunc(a.allWithoutDetour(), func(p UnreachablePair) bool {
		return a.WhyLeftOut(p.From.Ref()) != "" || a.WhyLeftOut(p.To.Ref()) != ""
	})
}

func (a *Authority) allWithoutDetour() (list []UnreachablePair) {
	for _, p := range a.sortedPairs() {
		from, to := a.find(p.from), a.find(p.to)
		if from.status == active && to.status == active && a.triesSuccessor(p) && !a.pairs[p].detoured && to.suspicion == nil {
			list = append(list, UnreachablePair{from.Member, to.Member, a.pairs[p].why})
		}
	}
	return list
}
