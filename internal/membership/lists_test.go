package membership

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht/internal/ring"

	"github.com/x/ringdht/internal/control"
)

// crowd is a ring of n members that was just set up, and the effects of the set-up.
func crowd(t *testing.T, n int) (a *Authority, told []Effect) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	a = New(Config{Bits: 20, Lease: time.Second, Draw: func(n uint64) uint64 {
		if n == 0 {
			return rng.Uint64()
		}
		return rng.Uint64N(n)
	}})
	for i := range n {
		if _, err := a.Admit(1, uint64(i+1), Request{Addr: fmt.Sprint(i), Traffic: i%10 != 0}); err != nil {
			t.Fatal(err)
		}
	}
	a.Setup(1, ring.Layout{})
	a.Advance(2)
	for _, e := range a.Take() {
		if e.Type == control.TypeManifest {
			a.Linked(e.Ref, e.Body.(control.Manifest).Epoch)
		}
	}
	a.Advance(3)
	return a, a.Take()
}

// In a ring larger than a list, lists are samples. They have the maximal length and no
// repetition, each member is on the same number of them, and each entry has the member's
// incarnation and whether it is idle.
func TestListsAreSamples(t *testing.T) {
	const n = 5 * control.MaxOthers
	a, told := crowd(t, n)
	on := make(map[uint64]int)
	different := make(map[*[]byte]bool)
	count := 0
	for _, e := range told {
		if e.Type != control.TypeAnnounce {
			continue
		}
		count++
		note := e.Body.(control.Announce)
		if len(note.Added) != control.MaxOthers || len(note.Incarnations) != control.MaxOthers {
			t.Fatalf("%d newcomers and %d incarnations", len(note.Added), len(note.Incarnations))
		}
		if different[e.Frame] {
			continue
		}
		different[e.Frame] = true
		for i, id := range note.Added {
			on[id]++
			m := a.byID[id]
			if m.Incarnation != note.Incarnations[i] {
				t.Fatalf("node %d has incarnation %d, not %d", id, m.Incarnation, note.Incarnations[i])
			}
			if slices.Contains(note.Idle, id) == m.Traffic {
				t.Fatalf("node %d: traffic %v", id, m.Traffic)
			}
		}
		if slices.Sort(note.Added); len(slices.Compact(note.Added)) != control.MaxOthers {
			t.Fatal("a member is on the list twice")
		}
	}
	if count != n || len(different) != maxSamples {
		t.Errorf("%d members were told, %d different samples", count, len(different))
	}
	want := maxSamples * control.MaxOthers / n
	for _, m := range a.sortedMembers() {
		if got := on[m.ID]; got < want || got > want+1 {
			t.Fatalf("node %d is on %d samples, want %d", m.ID, got, want)
		}
	}

	a.Setup(4, ring.Layout{}) // manifests list them from now on
	a.Advance(5)
	clear(on)
	for _, e := range a.Take() {
		if e.Type != control.TypeManifest {
			continue
		}
		others := e.Body.(control.Manifest).Others
		if len(others) != control.MaxOthers || slices.Contains(others, e.Ref.ID) {
			t.Fatalf("%d others, itself among them: %v", len(others), slices.Contains(others, e.Ref.ID))
		}
		for _, id := range others {
			on[id]++
		}
		if slices.Sort(others); len(slices.Compact(others)) != control.MaxOthers {
			t.Fatal("a member is on the list twice")
		}
	}
	for _, m := range a.sortedMembers() { // 1024 in the mean, standard deviation below 33
		if got := on[m.ID]; got < 800 || got > 1250 {
			t.Errorf("node %d is on %d of %d manifests", m.ID, got, n)
		}
	}
}

// In a ring up to the length of a list, each member is told of all others.
func TestListsAreWhole(t *testing.T) {
	a, told := crowd(t, control.MaxOthers+1)
	views := make(map[uint64]*NodeView)
	for _, m := range a.sortedMembers() {
		views[m.ID] = &NodeView{Self: m.Ref(), Bits: 20}
	}
	for _, e := range told {
		if e.Type == control.TypeAnnounce {
			views[e.Ref.ID] = views[e.Ref.ID].Announce(e.Body.(control.Announce), a.Draw)
		}
	}
	a.Setup(4, ring.Layout{})
	a.Advance(5)
	for _, e := range a.Take() {
		if e.Type == control.TypeManifest {
			if n := len(e.Body.(control.Manifest).Others); n != control.MaxOthers {
				t.Fatalf("a manifest lists %d of %d", n, control.MaxOthers)
			}
		}
	}
}

// A node's list stays a fair sample while members come and go. It is copied only when it
// changes, and loses the members that are gone.
func TestListFollowsComingAndGoing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	l := &NodeView{Bits: 64}
	alive := make(map[uint64]bool)
	idle := func(id uint64) bool { return id%7 == 0 }
	copied, rounds := 0, 20_000
	for range rounds {
		var a control.Announce
		for range rng.IntN(3) {
			id := rng.Uint64()
			alive[id] = true
			a.Added, a.Incarnations = append(a.Added, id), append(a.Incarnations, 1)
			if idle(id) {
				a.Idle = append(a.Idle, id)
			}
		}
		if len(alive) > 3*control.MaxOthers && rng.IntN(3) == 0 {
			for id := range alive {
				if slices.Contains(a.Added, id) {
					continue // it would be back: an announcement removes before it adds
				}
				delete(alive, id)
				if id&1 == 0 {
					a.Left = append(a.Left, ring.Ref{ID: id, Incarnation: 1})
				} else {
					a.Gone = append(a.Gone, ring.Ref{ID: id, Incarnation: 1})
				}
				if rng.IntN(3) == 0 {
					break
				}
			}
		}
		a.Members = int64(len(alive))
		was := slices.Collect(l.Others.All())
		next := l.Announce(a, rng.Uint64N)
		if !slices.Equal(was, slices.Collect(l.Others.All())) {
			t.Fatal("the list before was changed")
		}
		if len(was) > 0 && next.Others != l.Others {
			copied++
			if slices.Equal(was, slices.Collect(next.Others.All())) {
				t.Fatal("the list is another one and has not changed")
			}
		}
		l = next
		for m := range l.Others.All() {
			if !alive[m.ID] || m.Idle != idle(m.ID) {
				t.Fatalf("node %d: alive %v, idle %v", m.ID, alive[m.ID], m.Idle)
			}
		}
	}
	if n := l.Others.Len(); n > control.MaxOthers || n < control.MaxOthers/2 {
		t.Errorf("%d on the list, %d are alive", n, len(alive))
	}
	if copied == 0 || copied > rounds*3/4 {
		t.Errorf("copied in %d of %d rounds", copied, rounds)
	}
}

// Members that came early and late are equally likely to be on the list of a large ring.
func TestListIsAFairSample(t *testing.T) {
	for _, together := range []int{1, 100} {
		rng := rand.New(rand.NewPCG(5, 6))
		l := &NodeView{Self: ring.Ref{ID: 1 << 40}, Bits: 64}
		const n = 3 * control.MaxOthers
		for id := 0; id < n; id += together {
			a := control.Announce{Members: int64(min(n, id+together))}
			for i := id; i < min(n, id+together); i++ {
				a.Added = append(a.Added, uint64(i))
			}
			l = l.Announce(a, rng.Uint64N)
		}
		thirds := make([]int, 3)
		for m := range l.Others.All() {
			thirds[m.ID/control.MaxOthers]++
		}
		for _, got := range thirds { // 341 in the mean, standard deviation below 16
			if got < 280 || got > 400 {
				t.Errorf("%d come at a time: of each third of the members these are on the list: %v", together, thirds)
				break
			}
		}
	}
}

// The list has the incarnations. The end of an earlier one takes no later one off the list, and a
// later one that is announced replaces an earlier one.
func TestListHasIncarnations(t *testing.T) {
	l := &NodeView{Self: ring.Ref{ID: 1, Incarnation: 1}, Bits: 8}
	l, err := l.Manifest(control.Manifest{Epoch: 1, Others: []uint64{2, 3, 4}, Incs: []uint64{20, 30, 40}, Idle: []uint64{3}})
	if err != nil {
		t.Fatal(err)
	}
	next := l.Announce(control.Announce{
		Members: 5, Left: []ring.Ref{{ID: 2, Incarnation: 19}}, Gone: []ring.Ref{{ID: 4, Incarnation: 40}},
		Added: []uint64{3, 2, 1, 5}, Incarnations: []uint64{31, 18, 7, 50}, Idle: []uint64{5},
	}, nil)
	if got := fmt.Sprint(slices.Collect(next.Others.All())); got != "[{{2 20} false <nil>} {{3 31} false <nil>} {{5 50} true <nil>}]" {
		t.Error(got)
	}
	if got := fmt.Sprint(slices.Collect(l.Others.All())); got != "[{{2 20} false <nil>} {{3 30} true <nil>} {{4 40} false <nil>}]" {
		t.Error("the view before has changed:", got)
	}
	many := control.Announce{Members: 200}
	for id := range uint64(100) {
		many.Added, many.Incarnations = append(many.Added, id, id), append(many.Incarnations, 25, 24)
	}
	got := make(map[uint64]uint64)
	next = next.Announce(many, nil)
	for m := range next.Others.All() {
		got[m.ID] = m.Incarnation
	}
	if len(got) != 99 || next.Others.Len() != 99 || got[2] != 25 || got[3] != 31 || got[5] != 50 || got[99] != 25 || got[1] != 0 {
		t.Error(got)
	}
}

// ids lists the IDs of a list's members.
func ids(l *ring.List) (ids []uint64) {
	for m := range l.All() {
		ids = append(ids, m.ID)
	}
	return ids
}
