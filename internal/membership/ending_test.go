package membership

import (
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// trio is a ring of three members that are ready, and a fourth that has its table and is
// not announced. Earlier effects are taken.
func trio(t *testing.T) (a *Authority, four []ring.Member) {
	t.Helper()
	next := uint64(0)
	a = New(Config{Bits: 8, Lease: time.Second, Draw: func(n uint64) uint64 { next += 37; return next % n }})
	join := func(addr string) ring.Member {
		m, err := a.Admit(1, 100, Request{Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, addr := range []string{"a:1", "b:1", "c:1"} {
		four = append(four, join(addr))
	}
	a.Setup(2, ring.Layout{})
	for range 3 {
		a.Advance(3)
		for _, m := range four {
			a.Linked(m.Ref(), a.Epoch())
		}
	}
	four = append(four, join("d:1"))
	a.Advance(4)
	if a.State(four[0].Ref()) != Active || a.State(four[3].Ref()) != Linking || a.byID[four[3].ID].announced {
		t.Fatal("the ring is not in the state that the test needs")
	}
	a.Take()
	return a, four
}

// announced collects the ends that members are told of, and how many members are told.
func announced(a *Authority) (left, dead []ring.Ref, told int) {
	a.Advance(time.Minute)
	for _, e := range a.Take() {
		if note, ok := e.Body.(control.Announce); ok {
			told++
			left = append(left, note.Left...)
			dead = append(dead, note.Gone...)
		}
	}
	return left, dead, told
}

// Each member is told which incarnation has left or died. That includes one that was never
// announced: it had a table, and may have sent.
func TestEveryEndIsAnnouncedWithItsIncarnation(t *testing.T) {
	for _, which := range []int{0, 3} {
		for _, dies := range []bool{false, true} {
			a, four := trio(t)
			ref := four[which].Ref()
			if dies {
				a.markDead(5, a.byID[ref.ID], "test")
			} else {
				a.Leave(5, ref)
			}
			left, dead, told := announced(a)
			said, other := left, dead
			if dies {
				said, other = dead, left
			}
			if told < 2 || len(other) != 0 || len(said) != told || slices.ContainsFunc(said, func(r ring.Ref) bool { return r != ref }) {
				t.Errorf("member %d, dies %v: %d told that %v left and %v died", which, dies, told, left, dead)
			}
		}
	}
	a, _ := trio(t) // the end of one without a table is not announced
	m, err := a.Admit(5, 100, Request{Addr: "e:1"})
	if err != nil {
		t.Fatal(err)
	}
	a.Leave(5, m.Ref())
	if left, dead, _ := announced(a); left != nil || dead != nil {
		t.Error(left, dead)
	}
}

// A member that a full list lacks is over, up to the newest incarnation that the list
// before can have known.
func TestNewestIncarnation(t *testing.T) {
	l := &NodeView{Self: ring.Ref{ID: 1, Incarnation: 1}, Bits: 8}
	l, err := l.Manifest(control.Manifest{Epoch: 1, Incarnation: 7, Others: []uint64{2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	if l.Newest != 7 {
		t.Error(l.Newest)
	}
	l = l.Announce(control.Announce{Added: []uint64{4, 5}, Incarnations: []uint64{9, 8}}, nil)
	l = l.Announce(control.Announce{Left: []ring.Ref{{ID: 5, Incarnation: 8}}, Members: 3}, nil)
	if l.Newest != 9 || !slices.Equal(ids(l.Others), []uint64{2, 3, 4}) {
		t.Error(l.Newest, ids(l.Others))
	}
	now, err := l.Manifest(control.Manifest{Epoch: 2, Incarnation: 12, Others: []uint64{3, 6}})
	if err != nil {
		t.Fatal(err)
	}
	if ids := now.EndedSince(l); !slices.Equal(ids, []uint64{2, 4}) || now.Newest != 12 {
		t.Error(ids, now.Newest)
	}
	if a, four := trio(t); a.manifest(a.byID[four[0].ID], ring.View{}, 3, nil).Incarnation != four[3].Incarnation {
		t.Error("a manifest does not have the latest incarnation")
	}
}

// A leaving member is released only when newcomers have linked too: they were told of a
// ring with it, and may have to route to it.
func TestLeaversWaitForNewcomers(t *testing.T) {
	a, four := trio(t)
	leaver := four[0].Ref()
	a.Leave(5, leaver)
	confirmed := func(members []ring.Member) {
		for range 3 {
			a.Advance(6)
			for _, m := range members {
				a.Linked(m.Ref(), a.byID[m.ID].sent)
			}
		}
	}
	confirmed(four[1:3])
	if a.State(leaver) == Unknown {
		t.Fatal("it is released before a newcomer has linked")
	}
	confirmed(four[1:])
	if a.State(leaver) != Unknown {
		t.Error("it is not released, though all have linked")
	}
}
