package membership

import (
	"fmt"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// small is a ring that was set up, of members with IDs 10, 20, 30 and so on.
func small(t *testing.T, n int) *Authority {
	t.Helper()
	a := New(Config{Bits: 16, Lease: time.Second, Grace: 2 * time.Second, Draw: func(uint64) uint64 { return 0 }})
	for i := range n {
		admit(t, a, uint64(10*(i+1)))
	}
	a.Setup(1, ring.Layout{})
	settle(a, 2)
	if missing := a.Unsettled(); len(missing) > 0 {
		t.Fatal(missing)
	}
	return a
}

func admit(t *testing.T, a *Authority, id uint64) ring.Ref {
	t.Helper()
	m, err := a.Admit(1, 1, Request{Addr: fmt.Sprint(id), Want: true, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return m.Ref()
}

// settle has every member confirm what it is told, until there is nothing left to tell.
func settle(a *Authority, now Time) {
	for range 10 {
		a.Advance(now)
		now += time.Second
		for _, e := range a.Take() {
			confirm(a, e)
		}
	}
}

func confirm(a *Authority, e Effect) {
	switch b := e.Body.(type) {
	case control.Manifest:
		a.Linked(e.Ref, b.Epoch)
	case control.Update:
		a.Linked(e.Ref, b.Epoch)
	}
}

func (a *Authority) ref(id uint64) ring.Ref { return a.byID[id].Ref() }

// manifestFor finds the manifest for a member among what is to be sent.
func manifestFor(effects []Effect, ref ring.Ref) (m control.Manifest, found bool) {
	for _, e := range effects {
		if b, ok := e.Body.(control.Manifest); ok && e.Ref == ref {
			m, found = b, true
		}
	}
	return m, found
}

// A newcomer reports that it cannot reach its successor while another link is still slow,
// and then that it is linked. Its first table as an active member has a detour.
func TestTroubleBeforeLinkedIsRemembered(t *testing.T) {
	a := small(t, 5)
	n := admit(t, a, 25)
	now := Time(100 * time.Second)
	a.Advance(now)
	first, ok := manifestFor(a.Take(), n)
	if !ok || first.Successors[0].ID != 30 {
		t.Fatalf("introduced with %+v", first)
	}
	a.Trouble(now, n, a.ref(30), "refused")
	for range 5 { // another link takes its time
		now += 100 * time.Millisecond
		a.Advance(now)
		a.Take()
		if pairs := a.Unreachable(); len(pairs) != 1 || pairs[0].From.ID != 25 || pairs[0].To.ID != 30 {
			t.Fatalf("unreachable pairs are %v", pairs)
		}
		if way := a.WithoutDetour(); len(way) > 0 {
			t.Fatalf("it is not in tables yet, and is listed without a detour: %v", way)
		}
	}
	a.Linked(n, first.Epoch)
	a.Advance(now)
	m, ok := manifestFor(a.Take(), n)
	if !ok || len(m.Detours) != 1 || m.Detours[0].To != 30 {
		t.Errorf("active with %+v", m)
	}
}

// Two newcomers of one batch that cannot reach each other get a detour as well.
func TestTroubleWithinABatchIsRemembered(t *testing.T) {
	a := small(t, 5)
	n, o := admit(t, a, 25), admit(t, a, 27)
	now := Time(100 * time.Second)
	a.Advance(now)
	told := a.Take()
	a.Trouble(now, n, o, "refused")
	a.Advance(now)
	for _, e := range told {
		confirm(a, e)
	}
	a.Advance(now)
	if m, ok := manifestFor(a.Take(), n); !ok || len(m.Detours) != 1 || m.Detours[0].To != 27 {
		t.Errorf("active with %+v", m)
	}
}

// A newcomer whose first successor has died since tries the next one, and its report about
// that one counts.
func TestTroubleBehindTheDeadIsRemembered(t *testing.T) {
	a := small(t, 6)
	n := admit(t, a, 25)
	now := Time(100 * time.Second)
	a.Advance(now)
	first, _ := manifestFor(a.Take(), n)
	a.Silent(now, a.ref(30))
	a.Trouble(now, n, a.ref(40), "refused")
	a.Advance(now)
	a.Take()
	a.Linked(n, first.Epoch)
	a.Advance(now)
	if m, ok := manifestFor(a.Take(), n); !ok || len(m.Detours) != 1 || m.Detours[0].To != 40 {
		t.Errorf("active with %+v", m)
	}
}

// The pairs that are remembered are bounded. That there are too many is reported once, and
// pairs that no member tries make room.
func TestPairsAreBounded(t *testing.T) {
	a := small(t, 80)
	crowded := 0
	for i := range 80 {
		for j := range 80 {
			if i != j {
				a.Trouble(1, a.ref(uint64(10*(i+1))), a.ref(uint64(10*(j+1))), "refused")
			}
		}
	}
	for _, e := range a.Take() {
		if e.Kind == PairsFull {
			crowded++
		}
	}
	if len(a.pairs) != maxPairs || crowded != 1 {
		t.Errorf("%d pairs are remembered, and that is said %d times", len(a.pairs), crowded)
	}
	for i := range 80 { // no detour is needed any more
		a.Trouble(1, a.ref(uint64(10*(i+1))), a.ref(uint64(10*((i+1)%80+1))), "")
	}
	settle(a, 1000*time.Second)
	if len(a.pairs) == maxPairs || a.pairsFull {
		t.Errorf("%d pairs are still remembered", len(a.pairs))
	}
}
