package ring

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// With stubs, all pairs reach each other, no route leads through a stub, and the members of the
// tables route among themselves as a ring without stubs does.
func TestRoutesWithStubs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 2 + rng.IntN(40)
		count := rng.IntN(n)
		var all []Member
		mask := Mask(10)
		for _, id := range rng.Perm(1 << 10)[:n] {
			all = append(all, Member{Peer: Peer{ID: uint64(id), Incarnation: 7, Addr: "x"}})
		}
		slices.SortFunc(all, func(a, b Member) int { return int(a.ID) - int(b.ID) })
		s := Stubs{Tables: slices.Clone(all)}
		for range min(count, n-1) {
			i := rng.IntN(len(s.Tables))
			s.Stubs = append(s.Stubs, s.Tables[i])
			s.Tables = slices.Delete(s.Tables, i, i+1)
		}
		slices.SortFunc(s.Stubs, func(a, b Member) int { return int(a.ID) - int(b.ID) })
		offsets := Classic(len(s.Tables), rng.IntN(4))
		hops := s.LastHops()
		var ids []uint64
		var tables, last [][]uint64
		for _, m := range all {
			ids = append(ids, m.ID)
			var entries, stubs []uint64
			if i := slices.IndexFunc(s.Tables, func(x Member) bool { return x.ID == m.ID }); i >= 0 {
				for _, p := range offsets.AppendPositions(nil, len(s.Tables), i) {
					entries = append(entries, s.Tables[p].ID)
				}
			} else {
				view, _ := s.View(m.ID, offsets)
				if len(view) == 0 { // the others are one: its successor is all it has
					_, successors := s.View(m.ID, offsets)
					view = successors[:1]
				}
				for _, p := range view {
					entries = append(entries, p.ID)
				}
			}
			for _, p := range hops[m.ID] {
				stubs = append(stubs, p.ID)
			}
			tables, last = append(tables, entries), append(last, stubs)
		}
		if r := AuditStubs(mask, ids, tables, last); r.Unreachable > 0 || r.Pairs != n*(n-1) {
			t.Fatalf("%d members, stubs %v: %+v\n%v\n%v\n%v", n, s.Stubs, r, ids, tables, last)
		}
		for i, table := range tables {
			for _, e := range table {
				if slices.ContainsFunc(s.Stubs, func(m Member) bool { return m.ID == e }) {
					t.Fatalf("the stub %d is an entry of %d", e, ids[i])
				}
			}
		}
	}
}

// The audit finds a route through a stub, and a stub without a last hop.
func TestAuditFindsWrongStubs(t *testing.T) {
	ids := []uint64{10, 20, 30}
	good := [][]uint64{{30}, {30}, {10}}
	if r := AuditStubs(Mask(8), ids, good, [][]uint64{{20}, nil, nil}); r.Unreachable > 0 {
		t.Errorf("%+v", r)
	}
	if r := AuditStubs(Mask(8), ids, [][]uint64{{20}, {30}, {10}}, [][]uint64{{20}, nil, nil}); r.Unreachable == 0 {
		t.Error("a route through a stub is not found")
	}
	if r := AuditStubs(Mask(8), ids, good, make([][]uint64, 3)); r.Unreachable != 2 {
		t.Errorf("a stub without a last hop: %+v", r)
	}
}
