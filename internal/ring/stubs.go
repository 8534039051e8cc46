package ring

import (
	"cmp"
	"slices"
)

// Stubs says which stubs lie in which gap between the members of the tables, see
// [Router.Next]. Both lists ascend by ID, and no member is on both.
type Stubs struct {
	Tables []Member
	Stubs  []Member
}

// position returns the position of the first member of the tables behind an ID, clockwise.
func (s Stubs) position(id uint64) int {
	at, _ := slices.BinarySearchFunc(s.Tables, id, func(m Member, id uint64) int { return cmp.Compare(m.ID, id) })
	return at
}

// View returns the table of a stub: as if it were a member of the tables, and the only stub
// that is. Its entries are exact.
func (s Stubs) View(id uint64, offsets Offsets) (entries, successors []Peer) {
	n, at := len(s.Tables), s.position(id)
	for _, o := range offsets {
		entries = append(entries, s.Tables[(at+o-1)%n].Peer)
	}
	for i := range min(Successors, n) {
		successors = append(successors, s.Tables[(at+i)%n].Peer)
	}
	return entries, successors
}

// LastHops returns for each member the stubs between it and the next member of the tables, in
// clockwise order. It is the last hop to them. Members without any are left out.
func (s Stubs) LastHops() map[uint64][]Peer {
	hops := make(map[uint64][]Peer)
	n := len(s.Tables)
	if n == 0 {
		return hops
	}
	gaps := make(map[int][]Peer) // by the position of the member behind
	first := slices.IndexFunc(s.Stubs, func(m Member) bool { return s.position(m.ID) > 0 })
	for i := range s.Stubs { // those before the lowest member of the tables come last
		m := s.Stubs[(max(first, 0)+i)%len(s.Stubs)]
		at := s.position(m.ID) % n
		gaps[at] = append(gaps[at], m.Peer)
	}
	for at, gap := range gaps {
		hops[s.Tables[(at-1+n)%n].ID] = gap
		for i, p := range gap[:len(gap)-1] {
			hops[p.ID] = gap[i+1:]
		}
	}
	return hops
}

// Route returns the members that a frame from one member to another crosses, without these two,
// or false if it does not arrive. next returns the next hop, or false if there is none.
func Route(from, to uint64, limit int, next func(at, to uint64) (uint64, bool)) (relays []uint64, ok bool) {
	for at := from; len(relays) <= limit; {
		hop, ok := next(at, to)
		switch {
		case !ok:
			return relays, false
		case hop == to:
			return relays, true
		}
		relays = append(relays, hop)
		at = hop
	}
	return relays, false
}
