package ring

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// listModel is a List without blocks.
type listModel map[uint64]Listed

func (m listModel) with(members []Listed) {
	for _, x := range members {
		if known, ok := m[x.ID]; !ok || known.Incarnation < x.Incarnation {
			m[x.ID] = x
		}
	}
}

func (m listModel) without(over []Ref) {
	for _, r := range over {
		if known, ok := m[r.ID]; ok && known.Incarnation <= r.Incarnation {
			delete(m, r.ID)
		}
	}
}

func (m listModel) sorted() []Listed {
	return slices.SortedFunc(maps.Values(m), func(x, y Listed) int { return cmp.Compare(x.ID, y.ID) })
}

// A list has just the members that a plain map has after the same changes, by ascending ID. Lists
// before do not change. One change makes few new blocks.
func TestListAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	rounds := 3000
	if raceEnabled || testing.Short() {
		rounds = 500
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	var l *List
	m := make(listModel)
	type former struct {
		list *List
		was  []Listed
	}
	var before []former
	infos := []*Info{NewInfo("a", nil, nil), NewInfo("b", nil, []string{"s"}), nil}
	ids := uint64(1)
	for round := range rounds {
		if round%100 == 0 { // the list grows and shrinks
			ids = 1 + rng.Uint64N(4000)
		}
		var with []Listed
		var without []Ref
		few := 1 + rng.IntN(2)
		if rng.IntN(30) == 0 {
			few = rng.IntN(1500)
		}
		for range few {
			x := Listed{Ref{rng.Uint64N(ids), rng.Uint64N(4)}, rng.IntN(3) == 0, nil}
			if inform := round / 200 % 3; inform == 1 || inform == 2 && x.ID%100 == 0 { // all, none, or few of them
				x.Info = infos[rng.IntN(len(infos))]
			}
			with = append(with, x)
			without = append(without, Ref{rng.Uint64N(ids), rng.Uint64N(4)})
		}
		was := m.sorted()
		next := l
		if rng.IntN(2) == 0 {
			next = l.With(with...)
			m.with(with)
		} else {
			next = l.Without(without...)
			m.without(without)
		}
		now := m.sorted()
		if err := next.check(now); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		if (next == l) != slices.Equal(was, now) {
			t.Fatalf("seed %d, round %d: another list: %v, another content: %v", seed, round, next != l, !slices.Equal(was, now))
		}
		if copied := next.unshared(l); copied > 3*few {
			t.Fatalf("seed %d, round %d: %d changes have copied %d blocks", seed, round, few, copied)
		}
		then, was := l, was
		if len(before) > 0 && rng.IntN(4) == 0 { // a list with which it shares little
			f := before[rng.IntN(len(before))]
			then, was = f.list, f.was
		}
		gone, come := next.Changes(then)
		if !slices.Equal(gone, missing(was, now)) || !slices.Equal(come, missing(now, was)) {
			t.Fatalf("seed %d, round %d: %v are gone and %v have come", seed, round, gone, come)
		}
		if rng.IntN(100) == 0 {
			before = append(before, former{next, now})
		}
		l = next
	}
	for _, f := range before {
		if err := f.list.check(f.was); err != nil {
			t.Fatalf("seed %d, a former list: %v", seed, err)
		}
	}
}

// missing lists the incarnations of one list that another one does not have.
func missing(of, in []Listed) (list []Listed) {
	refs := make(map[Ref]bool, len(in))
	for _, m := range in {
		refs[m.Ref] = true
	}
	for _, m := range of {
		if !refs[m.Ref] {
			list = append(list, m)
		}
	}
	return list
}

// check compares a list with what it should have.
func (l *List) check(want []Listed) error {
	got := slices.Collect(l.All())
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			return fmt.Errorf("%v instead of %v from place %d on", got[min(i, len(got)):min(i+5, len(got))], want[min(i, len(want)):min(i+5, len(want))], i)
		}
	}
	if l.Len() != len(want) {
		return fmt.Errorf("length %d instead of %d", l.Len(), len(want))
	}
	for i, m := range want {
		if found, ok := l.Find(m.ID); !ok || found != m {
			return fmt.Errorf("%d is %v, %v found", m.ID, found, ok)
		}
		if i%10 == 0 && l.At(i) != m {
			return fmt.Errorf("%v at place %d instead of %v", l.At(i), i, m)
		}
		if gap := m.ID + 1; i+1 == len(want) || want[i+1].ID != gap {
			if found, ok := l.Find(gap); ok {
				return fmt.Errorf("%v found, which is not on the list", found)
			}
		}
	}
	if l == nil {
		return nil
	}
	if l.infos != nil && len(l.infos) != len(l.blocks) {
		return fmt.Errorf("%d blocks of infos for %d blocks", len(l.infos), len(l.blocks))
	}
	room := 0
	for i, b := range l.blocks {
		room += cap(b)
		if len(b) == 0 || len(b) > maxBlock || len(b) < minBlock && i+1 < len(l.blocks) {
			return fmt.Errorf("block %d of %d has %d members", i, len(l.blocks), len(b))
		}
	}
	if room > l.n+l.n/8+len(l.blocks) { // the allocator rounds up
		return fmt.Errorf("room for %d members, of which there are %d", room, l.n)
	}
	return nil
}

// unshared counts the blocks of a list that another does not have.
func (l *List) unshared(other *List) (n int) {
	if l == nil {
		return 0
	}
	shared := make(map[*entry]bool)
	if other != nil {
		for _, b := range other.blocks {
			shared[&b[0]] = true
		}
	}
	for _, b := range l.blocks {
		if !shared[&b[0]] {
			n++
		}
	}
	return n
}

// Incarnations up to MaxListed are kept beside the mark of idle members.
func TestListKeepsLargeIncarnations(t *testing.T) {
	want := []Listed{{Ref{1, MaxListed}, true, nil}, {Ref{1<<64 - 1, MaxListed}, false, nil}, {Ref{2, 0}, true, nil}}
	l := (*List)(nil).With(want...)
	want[1], want[2] = want[2], want[1]
	if got := slices.Collect(l.All()); !slices.Equal(got, want) {
		t.Error(got)
	}
}
