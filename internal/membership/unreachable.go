package membership

import (
	"cmp"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// pair is two lives of which the first cannot reach the second.
type pair struct{ from, to ring.Ref }

type pairState struct {
	why      string
	via      uint64 // of the detour, if there is one
	detoured bool   // there is
}

// maxParted bounds the pairs that are remembered. In a ring with more trouble than
// that, what is missing is not a list of it.
const maxPairs = 4096

// Parting is a pair that cannot talk directly.
type UnreachablePair struct {
	From, To ring.Member
	Why      string
}

// Trouble takes a member's word that it cannot have a link that it should have, or,
// without a reason, that it can again.
func (a *Authority) Trouble(now Time, from, to ring.Ref, why string) {
	m, other := a.find(from), a.find(to)
	p := pair{from, to}
	if m == nil || other == nil || m == other { // it is about to hear of that, or makes no sense
		return
	}
	known := a.pairs[p]
	switch {
	case why == "" && known != nil:
		delete(a.pairs, p)
		a.detoursDirty = true
		a.emit(Effect{Kind: Mended, Ref: from, Addr: m.Addr, Other: to})
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
			a.emit(Effect{Kind: Parted, Ref: from, Addr: m.Addr, Other: to, Why: why})
		}
	}
}

// crowd takes note that there is no room to remember a pair. The next plan makes room, if
// pairs are remembered that are not tried any more; the member says it again with its next
// table.
func (a *Authority) notePairsFull(m *member, to ring.Ref, why string) {
	a.detoursDirty = true
	if !a.pairsFull {
		a.pairsFull = true
		a.emit(Effect{Kind: Crowded, Ref: m.ref(), Addr: m.Addr, Other: to, Why: why})
	}
}

// Parted lists the pairs that cannot talk directly.
func (a *Authority) Parted() (list []UnreachablePair) {
	for _, p := range a.sortedPairs() {
		if from, to := a.find(p.from), a.find(p.to); to.suspicion == nil {
			list = append(list, UnreachablePair{from.Member, to.Member, a.pairs[p].why})
		}
	}
	return list
}

// sortedPairs forgets pairs of which one is gone, and lists the others.
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

// lead finds ways around for the pairs that need one, and adds to what is to be told.
//
// A node that cannot reach a long entry passes to the entry before it. Only what is
// for one of its successors may have no other way: that goes to a node that has a
// link there, in two steps which no third node has a part in, so that it cannot loop.
func (a *Authority) planDetours(tables []ring.Member, told map[uint64]*control.Update) {
	a.detoursDirty = false
	defer func() { a.pairsFull = len(a.pairs) >= maxPairs }()
	detours := make(map[uint64][]control.Detour)
	hold := make(map[uint64][]control.Peer)
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
		detours[from.ID] = append(detours[from.ID], control.Detour{To: to.ID, ID: via.ID, Life: via.Life, Addr: via.Addr})
		if theirs, _ := a.plans.View(via.ID); !slices.Contains(theirs.Entries, p.to) {
			hold[via.ID] = append(hold[via.ID], to.peer())
		}
	}
	for _, found := range tables {
		m := a.byID[found.ID]
		if slices.Equal(m.detours, detours[m.ID]) && slices.Equal(m.hold, hold[m.ID]) {
			continue
		}
		m.detours, m.hold = detours[m.ID], hold[m.ID]
		u := a.updateFor(told, m.ID)
		u.NewDetours, u.Detours, u.Hold = true, m.detours, m.hold
	}
}

// current forgets the pairs that nobody tries any more, since nobody will say that they
// mended, and lists the others. A member says again what it cannot reach with each table
// that it is told, so a pair that is tried again later is not lost. What was tried for the
// sake of a detour, and given up, is remembered as long as one is needed: else the same way
// would be tried again and again.
func (a *Authority) usefulPairs() []pair {
	pairs := a.sortedPairs()
	led := make(map[ring.Ref]bool)
	for _, p := range pairs {
		if a.triesSuccessor(p) {
			led[p.from], led[p.to] = true, true
		}
	}
	return slices.DeleteFunc(pairs, func(p pair) bool {
		if a.triesSuccessor(p) || a.tries(p) || led[p.from] || led[p.to] {
			return false
		}
		delete(a.pairs, p)
		return true
	})
}

// told is the table that a member was told last: a newcomer's is in no plan before it is
// taken in.
func (a *Authority) lastView(m *member) ring.View {
	if m.status == waiting || m.status == linking {
		return m.introView
	}
	view, _ := a.plans.View(m.ID)
	return view
}

// triesSuccessor says whether a member tries to reach another as one of its successors,
// as [Local.Links] has it: as many as it takes to reach one.
func (a *Authority) triesSuccessor(p pair) bool {
	for _, s := range a.lastView(a.find(p.from)).Successors {
		if s == p.to {
			return true
		}
		if a.pairs[pair{p.from, s}] == nil && a.find(s) != nil { // it may be dead, and the member not know it
			return false
		}
	}
	return false
}

// tries says whether a member tries to reach another for any other reason.
func (a *Authority) tries(p pair) bool {
	from := a.find(p.from)
	return slices.Contains(a.lastView(from).Entries, p.to) ||
		slices.ContainsFunc(from.hold, func(h control.Peer) bool { return h.ID == p.to.ID && h.Life == p.to.Life }) ||
		slices.ContainsFunc(from.detours, func(d control.Detour) bool { return d.ID == p.to.ID && d.Life == p.to.Life })
}

// around picks who leads from one member to another: the nearest before the sink that
// has it in its table, or else the nearest at all.
func (a *Authority) detourFor(tables []ring.Member, from, to *member) *member {
	n := len(tables)
	at, _ := slices.BinarySearchFunc(tables, to.ID, func(m ring.Member, id uint64) int { return cmp.Compare(m.ID, id) })
	var second *member
	for back := 1; back < min(n, maxDetourSearch); back++ {
		m := a.byID[tables[(at-back+n)%n].ID]
		if m == from || m.suspicion != nil || a.pairs[pair{from.ref(), m.ref()}] != nil || a.pairs[pair{m.ref(), to.ref()}] != nil {
			continue
		}
		if view, _ := a.plans.View(m.ID); slices.Contains(view.Entries, to.ref()) {
			return m
		}
		if second == nil {
			second = m
		}
	}
	return second
}

// maxAround is how far back from a sink a way around is looked for.
const maxDetourSearch = 64

// NoWay lists the pairs of the ring that cannot talk at all: no link and no way around.
func (a *Authority) NoWay() (list []UnreachablePair) {
	for _, p := range a.sortedPairs() {
		from, to := a.find(p.from), a.find(p.to)
		if from.status == active && to.status == active && a.triesSuccessor(p) && !a.pairs[p].detoured && to.suspicion == nil {
			list = append(list, UnreachablePair{from.Member, to.Member, a.pairs[p].why})
		}
	}
	return list
}
