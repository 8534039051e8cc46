package roster

import (
	"sync"
	"testing"

	"github.com/x/ringdht/internal/ring"
)

func listOf(members ...ring.Ref) (list *ring.List) {
	for _, m := range members {
		list = list.With(ring.Listed{Ref: m})
	}
	return list
}

func check(t *testing.T, r *Roster, id uint64, stays, leaves bool) {
	t.Helper()
	if s, l := r.Stays(id), r.Leaves(id); s != stays || l != leaves {
		t.Errorf("%d stays: %v, leaves: %v", id, s, l)
	}
}

// A node that has said that it leaves does not stay, until a later incarnation is here or the list
// has changed.
func TestLeaving(t *testing.T) {
	var r Roster
	check(t, &r, 40, false, false)
	r.Left(40, 5)
	check(t, &r, 40, false, false) // not heard of
	r.Set(listOf(ring.Ref{ID: 40, Incarnation: 5}, ring.Ref{ID: 50}), true)
	check(t, &r, 40, false, true)
	check(t, &r, 50, true, false)
	r.Left(40, 4) // late
	r.Here(40, 5)
	check(t, &r, 40, false, true)
	r.Here(40, 6)
	check(t, &r, 40, true, false)

	r.Left(40, 5)
	r.Left(50, 0) // the incarnation is not known
	check(t, &r, 50, false, false)
	r.Set(listOf(ring.Ref{ID: 40, Incarnation: 6}, ring.Ref{ID: 50, Incarnation: 9}), true)
	check(t, &r, 40, true, false)
	check(t, &r, 50, false, false)
	r.Set(listOf(ring.Ref{ID: 40, Incarnation: 6}), true)
	if len(r.leaving) != 0 {
		t.Error("the word of a node that left is kept:", r.leaving)
	}
}

// The sinks that leave are bounded.
func TestLeavingIsBounded(t *testing.T) {
	var r Roster
	for id := range uint64(2 * maxLeaving) {
		r.Left(id, 1)
	}
	if r.Left(3, 7); len(r.leaving) != maxLeaving || r.leaving[3] != 7 {
		t.Error(len(r.leaving), r.leaving[3])
	}
}

// Without the list of all, other incarnations of a member are believed.
func TestUnproven(t *testing.T) {
	var r Roster
	if !r.Unproven(40, 5) || r.KnowsAll() {
		t.Error("knows a node at first")
	}
	list := listOf(ring.Ref{ID: 40, Incarnation: 5}, ring.Ref{ID: 50})
	for _, all := range []bool{false, true} {
		r.Set(list, all)
		if r.KnowsAll() != all || r.Unproven(40, 5) || r.Unproven(40, 6) != all || r.Unproven(50, 6) || !r.Unproven(60, 1) {
			t.Error("all:", all)
		}
	}
}

// A node's word that it leaves is not lost when word of its arrival comes at the same time.
func TestLeftWhileHere(t *testing.T) {
	for range 20000 {
		var r Roster
		r.Set(listOf(ring.Ref{ID: 40, Incarnation: 6}), true)
		r.Left(40, 5)
		var wg sync.WaitGroup
		wg.Go(func() { r.Here(40, 6) })
		r.Left(40, 6)
		wg.Wait()
		if check(t, &r, 40, false, true); t.Failed() {
			return
		}
	}
}
