package registry

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// honestBooks are the books of a run in which all members told the truth.
func honestBooks(rng *rand.Rand, members int) *books {
	b := &books{reported: make(map[uint64]bool), unfinished: make(map[uint64]bool), entries: make(map[way]*entry)}
	for i := range uint64(members) {
		b.reported[i] = true
		for j := range uint64(members) {
			if i != j {
				p := control.Pair{N: 1 + rng.Int64N(1000), Sum: rng.Int64N(1 << 40)}
				b.entries[way{i, j}] = &entry{p, p}
			}
		}
	}
	return b
}

// lie has a member report something false about its messages with another: one of what it sent and
// what it received, by number, by sum, or both.
func (b *books) lie(rng *rand.Rand, liar, about uint64) {
	p := &b.entries[way{liar, about}].sent
	if rng.IntN(2) == 0 {
		p = &b.entries[way{about, liar}].received
	}
	by := rng.IntN(3)
	if by != 0 {
		p.N += []int64{-1, 1, 1e12}[rng.IntN(3)]
	}
	if by != 1 {
		p.Sum += 1 + rng.Int64N(1<<30)
	}
}

// A member that lies about all others is named, as many as there are, as long as fewer than half lie
// and more than half of the rest contradict no other. A member that tells the truth never is. All
// of what is said of one is true.
func TestFindLiars(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		members := 3 + rng.IntN(20)
		b := honestBooks(rng, members)
		order := rng.Perm(members)
		liars := rng.IntN((members-1)/2 + 1)
		loud := rng.IntN(liars + 1) // these lie about all others, the other liars about one
		isLiar := make(map[uint64]bool)
		for i, l := range order[:liars] {
			liar := uint64(l)
			isLiar[liar] = true
			for _, o := range rng.Perm(members) {
				if o == l || i < loud && slices.Contains(order[:loud], o) { // liars may agree with each other
					continue
				}
				b.lie(rng, liar, uint64(o))
				if i >= loud {
					break
				}
			}
		}
		found := b.findContradicted()
		named := make(map[uint64]bool)
		for _, c := range found {
			named[c.ID] = true
			if !isLiar[c.ID] {
				t.Fatalf("seed %d: member %d of %d is named, and tells the truth: %v", seed, c.ID, members, found)
			}
		}
		for _, l := range order[:loud] {
			if 4*(liars-loud) < members-loud && !named[uint64(l)] {
				t.Fatalf("seed %d: %d of %d lie about all, %d about one. Named are %v, and not %d", seed, loud, members, liars-loud, found, l)
			}
		}
		checkClaims(t, b, found)
	}
}

// checkClaims checks what is said of members, by counting again.
func checkClaims(t *testing.T, b *books, found []contradicted) {
	t.Helper()
	named := make(map[uint64]bool)
	for _, c := range found {
		named[c.ID] = true
	}
	disagree := func(x, y uint64) bool { return !b.agree(way{x, y}) || !b.agree(way{y, x}) }
	for _, c := range found {
		with := 0
		for x := range b.reported {
			if named[x] || x == c.ID || !disagree(c.ID, x) {
				continue
			}
			clean := true
			for y := range b.reported {
				clean = clean && (named[y] || y == x || !disagree(x, y))
			}
			if clean {
				with++
			}
		}
		if with < c.With {
			t.Fatalf("member %d is said to contradict %d that agree, and contradicts %d", c.ID, c.With, with)
		}
	}
}

// Of two members none can be named alone. Nor of three that all contradict each other, nor a member
// that contradicts one of many, nor one that half of the others have agreed to accuse.
func TestNoMemberIsNamedWithoutReason(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for name, c := range map[string]struct {
		members int
		lies    [][2]uint64 // liar, and about which
	}{
		"two":                          {2, [][2]uint64{{0, 1}}},
		"three, all":                   {3, [][2]uint64{{0, 1}, {1, 2}, {2, 0}}},
		"one about one":                {6, [][2]uint64{{0, 1}}},
		"one about half of the others": {7, [][2]uint64{{0, 1}, {0, 2}, {0, 3}}},
		"half about one":               {7, [][2]uint64{{1, 0}, {2, 0}, {3, 0}}},
		"pairs":                        {6, [][2]uint64{{0, 1}, {2, 3}, {4, 5}}},
		"none":                         {5, nil},
	} {
		b := honestBooks(rng, c.members)
		for _, l := range c.lies {
			b.lie(rng, l[0], l[1])
		}
		if found := b.findContradicted(); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
		if n := len(b.disagreements()); n < len(c.lies) {
			t.Errorf("%s: %d pairs are listed", name, n)
		}
	}
}

// What a member has taken from others on their way to a sink, and reports as its own, is found.
func TestFindDiverted(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 2))
		members := 4 + rng.IntN(10)
		b := honestBooks(rng, members)
		if found := b.findDiverted(); len(found) > 0 {
			t.Fatal(found)
		}
		thief := uint64(rng.IntN(members))
		var want diverted
		want.by = thief
		for source := range uint64(members) {
			if source == thief || rng.IntN(3) == 0 {
				continue
			}
			took := false
			for sink := range uint64(members) {
				if sink == source || sink == thief || rng.IntN(2) == 0 {
					continue
				}
				e := b.entries[way{source, sink}]
				n, sum := 1+rng.Int64N(e.received.N), 1+rng.Int64N(1<<30)
				e.received.N, e.received.Sum = e.received.N-n, e.received.Sum-sum
				mine := &b.entries[way{source, thief}].received
				mine.N, mine.Sum = mine.N+n, mine.Sum+sum
				want.messages += n
				want.sinks = append(want.sinks, sink)
				took = true
			}
			if took {
				want.sources = append(want.sources, source)
			}
		}
		slices.Sort(want.sinks)
		want.sinks = slices.Compact(want.sinks)
		found := b.findDiverted()
		if len(want.sources) == 0 {
			if len(found) > 0 {
				t.Fatal(found)
			}
			continue
		}
		if len(found) != 1 || fmt.Sprint(found[0]) != fmt.Sprint(want) {
			t.Fatalf("seed %d: found %+v, want %+v", seed, found, want)
		}
	}
}

// What a member that has not finished has sent may be under way, and contradicts none.
func TestUnfinishedBooks(t *testing.T) {
	e := entry{control.Pair{N: 10, Sum: 50}, control.Pair{N: 7, Sum: 30}}
	b := &books{reported: map[uint64]bool{1: true, 2: true}, unfinished: map[uint64]bool{}, entries: map[way]*entry{{1, 2}: &e}}
	if b.agree(way{1, 2}) {
		t.Error("3 of 10 messages are missing")
	}
	b.unfinished[1] = true
	if !b.agree(way{1, 2}) {
		t.Error("its source has not finished")
	}
	e.received.N = 11
	if b.agree(way{1, 2}) {
		t.Error("11 of 10 messages were received")
	}
	for _, p := range []control.Pair{{N: -1}, {N: 5, Unknown: 6}, {N: 5, Unknown: -1}, {N: 1 << 62, Unknown: -1 << 62}} {
		delete(b.unfinished, 1)
		e = entry{p, control.Pair{N: p.N, Sum: p.Sum}}
		if b.agree(way{1, 2}) {
			t.Errorf("%+v makes sense", e)
		}
	}
}

func TestCommonRelays(t *testing.T) {
	routes := map[way][]uint64{{1, 9}: {1, 4, 7, 9}, {2, 9}: {2, 7, 9}, {3, 9}: {3, 8, 9}, {8, 9}: {8, 9}}
	route := func(w way) []uint64 { return routes[w] }
	for _, c := range []struct {
		ways []way
		want []uint64
	}{
		{[]way{{1, 9}}, []uint64{4, 7}}, {[]way{{1, 9}, {2, 9}}, []uint64{7}}, {[]way{{1, 9}, {3, 9}}, []uint64{}},
		{[]way{{1, 9}, {8, 9}}, nil}, {[]way{{5, 9}}, nil}, {nil, nil},
	} {
		if got := commonRelays(c.ways, route); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.ways, got, c.want)
		}
	}
}

// Of what a member reports, at most a pair for each node is kept, and none that says nothing.
func TestPairsAreBounded(t *testing.T) {
	u := &run{nodes: make([]ring.Member, 5)}
	list := make([]control.Pair, 1000)
	for i := range list {
		list[i] = control.Pair{ID: uint64(i), N: int64(i % 2)}
	}
	if kept := u.bounded(list); len(kept) != 5 || kept[4].ID != 9 || cap(kept) > 8 {
		t.Errorf("%d kept, room for %d", len(kept), cap(kept))
	}
	u.nodes = make([]ring.Member, 20_000)
	if kept := u.bounded(slices.Repeat([]control.Pair{{N: 1}}, 30_000)); len(kept) != maxPairs {
		t.Errorf("%d kept", len(kept))
	}
}
