package ring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMembersMove(t *testing.T) {
	m := NewMembers(8)
	for i, addr := range []string{"a", "b", "c"} {
		if err := m.Claim(Member{Peer: Peer{ID: uint64(i), Incarnation: 1, Addr: addr}}); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(want map[string]uint64) {
		t.Helper()
		for _, addr := range []string{"a", "b", "c", "d"} {
			id, ok := m.HolderOf(addr)
			if w, held := want[addr]; ok != held || ok && id != w {
				t.Errorf("%s is held by %d, %v", addr, id, ok)
			}
		}
	}
	if m.Move(7, "d") {
		t.Error("a member that does not exist has moved")
	}
	if !m.Move(0, "d") {
		t.Error("0 has not moved")
	}
	holds(map[string]uint64{"d": 0, "b": 1, "c": 2})
	m.Yield("b")
	m.Move(0, "b") // the address that member 1 is listed with
	holds(map[string]uint64{"b": 0, "c": 2})
	if x, _ := m.Get(0); x.Addr != "b" {
		t.Error(x)
	}
	m.Remove(1)
	holds(map[string]uint64{"b": 0, "c": 2})
	m.Remove(0)
	holds(map[string]uint64{"c": 2})
}

// Naming finds what the views say.
func TestNamingAgreesWithViews(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= 40; n++ {
		var members []Member
		for i := range n {
			members = append(members, Member{Peer: Peer{ID: uint64(i * 5), Incarnation: 1, Addr: fmt.Sprint(i)}})
		}
		p := NewPlans()
		p.Update(members, Layout{}.For(n).Offsets, false)
		forgotten := rng.IntN(n)
		p.Forget(members[forgotten].ID)
		it := members[rng.IntN(n)]
		got := make(map[int]string)
		p.Naming(it.ID, func(at int, entries []int, successor bool) { got[at] = fmt.Sprint(entries, successor) })
		want := make(map[int]string)
		for at, m := range members {
			v, ok := p.View(m.ID)
			if _, known := p.View(it.ID); !ok || !known {
				continue
			}
			entries := []int{}
			for e, r := range v.Entries {
				if r == it.Ref() {
					entries = append(entries, e)
				}
			}
			if s := slices.Contains(v.Successors, it.Ref()); s || len(entries) > 0 {
				want[at] = fmt.Sprint(entries, s)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d members, %d of them: %v, want %v", n, it.ID, got, want)
		}
	}
}
