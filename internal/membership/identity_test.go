package membership

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

const second = time.Second

var (
	ringI = ring.NewIdentity(1, 2)
	ringJ = ring.NewIdentity(3, 4)
)

// selfSet returns the authority of a registry that starts at 1: its ring sets itself up, the
// lease is a second, the grace two, and its new rings have identity J.
func selfSet(kept *Record) *Authority {
	a := New(Config{
		Bits: 16, Lease: second, Grace: 2 * second, Draw: func(n uint64) uint64 { return 7 % max(n, 8) },
		SelfSetup: &ring.Layout{K: 3}, Kept: kept, DrawIdentity: func() ring.Identity { return ringJ },
	})
	a.Start(1)
	return a
}

func newcomer(addr string) Request {
	return Request{Addr: addr, Token: uint64(addr[0]), Want: true, ID: uint64(addr[0])}
}

func oldMember(addr string, id ring.Identity) Request {
	return Request{Addr: addr, Token: uint64(addr[0]), ID: uint64(addr[0]), Incarnation: 100 + uint64(addr[0]), Identity: id, Epoch: 5, Ready: true, Verified: true}
}

func mustAdmit(t *testing.T, a *Authority, now Time, r Request) {
	t.Helper()
	if _, err := a.Admit(now, 1, r); err != nil {
		t.Fatal(err)
	}
	a.Advance(now)
}

func mustResume(t *testing.T, a *Authority, now Time, r Request) {
	t.Helper()
	if _, err := a.Resume(now, r); err != nil {
		t.Fatal(err)
	}
	a.Advance(now)
}

func mustWait(t *testing.T, a *Authority, now Time, r Request, says string) {
	t.Helper()
	a.Advance(now)
	if _, err := a.Admit(now, 1, r); !errors.Is(err, ErrWait) || !strings.Contains(err.Error(), says) {
		t.Fatalf("at %v: %v, want to wait: %s", now, err, says)
	}
}

// manifestRings returns the identities in the manifests so far.
func manifestRings(a *Authority) (ids []ring.Identity) {
	for _, e := range a.Take() {
		if m, ok := e.Body.(control.Manifest); ok {
			ids = append(ids, ring.Identity(m.Identity))
		}
	}
	return ids
}

func TestFirstMemberMakesTheRingAfterAGrace(t *testing.T) {
	a := selfSet(nil)
	mustWait(t, a, 1, newcomer("a:1"), "has just started, and members of an earlier ring may come back first, for 2s")
	mustWait(t, a, 2*second, newcomer("a:1"), "")
	a.Advance(2*second + 1)
	if a.Live() || a.Identity() != "" {
		t.Fatal("a ring without members")
	}
	mustAdmit(t, a, 2*second+1, newcomer("a:1"))
	if ids := manifestRings(a); !a.Live() || a.Identity() != ringJ || len(ids) != 1 || ids[0] != ringJ {
		t.Fatal(a.Live(), a.Identity(), ids)
	}
	// All leave, and the ring stays.
	for ref := range a.byID {
		a.Leave(3*second, a.byID[ref].Ref())
	}
	a.Advance(3 * second)
	if a.Len() != 0 || !a.Live() {
		t.Fatal(a.Len(), a.Live())
	}
	mustAdmit(t, a, 4*second, newcomer("b:1"))
	if a.Identity() != ringJ {
		t.Error(a.Identity())
	}
}

func TestRegistryAdoptsTheRingOfItsFirstMember(t *testing.T) {
	a := selfSet(nil)
	mustResume(t, a, second, oldMember("a:1", ringI))
	if a.Identity() != ringI {
		t.Fatal(a.Identity())
	}
	_, err := a.Resume(second, oldMember("b:1", ringJ))
	if !errors.Is(err, ErrOtherRing) || !strings.Contains(err.Error(), ringI.Short()) || !strings.Contains(err.Error(), ringJ.Short()) {
		t.Error(err)
	}
	mustResume(t, a, second, oldMember("c:1", ringI))
	a.Advance(2*second + 1)
	mustAdmit(t, a, 2*second+1, newcomer("d:1"))
	if a.Layout().K != 3 {
		t.Error("the layout is not that of the option")
	}
	for _, id := range manifestRings(a) {
		if id != ringI {
			t.Error(id)
		}
	}
}

// Once a registry has a ring, it does not adopt another, whatever comes.
func TestRegistryWithARingAdoptsNone(t *testing.T) {
	a := selfSet(nil)
	a.Advance(2*second + 1)
	mustAdmit(t, a, 2*second+1, newcomer("a:1"))
	if _, err := a.Resume(3*second, oldMember("b:1", ringI)); !errors.Is(err, ErrOtherRing) {
		t.Error(err)
	}
	if _, err := a.Resume(3*second, oldMember("b:1", ringJ)); !errors.Is(err, ErrEvicted) {
		t.Error(err)
	}
	if a.Identity() != ringJ || a.Len() != 1 {
		t.Error(a.Identity(), a.Len())
	}
}

// save does a write that succeeds.
func save(t *testing.T, a *Authority, now Time) Record {
	t.Helper()
	r, due := a.BeginSave(now)
	if !due {
		t.Fatal("nothing to write")
	}
	a.EndSave(r, nil)
	return r
}

func TestStateComesBeforeTheFirstMember(t *testing.T) {
	a := selfSet(&Record{Empty: true})
	mustWait(t, a, 1, newcomer("a:1"), "may come back first") // an earlier state may be lost
	a.Advance(2*second + 1)
	mustWait(t, a, 3*second, newcomer("a:1"), "about to write")
	r, _ := a.BeginSave(3 * second)
	mustWait(t, a, 3*second, newcomer("a:1"), "about to write")
	a.EndSave(r, errors.New("disk full"))
	mustWait(t, a, 3*second, newcomer("a:1"), "disk full")
	if r := save(t, a, 3*second); r.Empty || r.Identity != ringJ {
		t.Fatal(r)
	}
	mustAdmit(t, a, 3*second, newcomer("a:1"))
	if a.SaveDue(3 * second) {
		t.Error("there is more to write")
	}
	a.Leave(5*second, a.byID['a'].Ref())
	a.Advance(5 * second)
	if !a.SaveDue(5 * second) {
		t.Fatal("an empty ring is not written")
	}
	// While "empty" is written, it may be what a restarted registry reads.
	r, _ = a.BeginSave(5 * second)
	if !r.Empty {
		t.Fatal(r)
	}
	mustWait(t, a, 5*second, newcomer("b:1"), "about to write")
	a.EndSave(r, nil)
	if r := save(t, a, 5*second); r.Empty || r.Identity != ringJ || r.Incarnation == 0 {
		t.Fatal(r)
	}
	mustAdmit(t, a, 5*second, newcomer("b:1"))
	if save := a.SaveDue(20 * second); save {
		t.Error("there is more to write")
	}
}

// A node that was promised a place and hangs up does not leave the ring full for ever.
func TestStateWithoutTheFirstMember(t *testing.T) {
	a := selfSet(&Record{Empty: true, Identity: ringI})
	mustWait(t, a, 1, newcomer("a:1"), "about to write")
	save(t, a, 1)                                // and the node hangs up
	mustResume(t, a, 2, oldMember("b:1", ringI)) // the ring was not quite empty
	if a.SaveDue(2) {
		t.Error("there is more to write")
	}
	a.Advance(2*second + 2)
	a.Leave(3*second, a.byID['b'].Ref())
	a.Advance(3 * second)
	if !a.SaveDue(3 * second) {
		t.Error("the ring is empty")
	}
}

func TestStateOfARingWithMembers(t *testing.T) {
	kept := Record{Identity: ringI, Incarnation: 1 << 40, Epoch: 90}
	a := selfSet(&kept)
	if _, err := a.Resume(1, oldMember("x:1", ringJ)); !errors.Is(err, ErrOtherRing) {
		t.Errorf("from the first moment: %v", err)
	}
	mustWait(t, a, 2*second+1, newcomer("n:1"), "") // nobody is back: two leases more
	mustWait(t, a, 4*second-1, newcomer("n:1"), "")
	mustResume(t, a, 4*second-1, oldMember("a:1", ringI)) // a whole grace from here
	mustWait(t, a, 5*second, newcomer("n:1"), "")
	mustResume(t, a, 6*second-2, oldMember("b:1", ringI))
	a.Advance(6*second - 1)
	mustAdmit(t, a, 6*second-1, newcomer("n:1"))
	if a.Identity() != ringI || a.Epoch() <= 90 || a.byID['n'].Incarnation <= 1<<40 {
		t.Error(a.Identity(), a.Epoch(), a.byID['n'].Incarnation)
	}
	// None comes back: the same ring, with other members.
	a = selfSet(&kept)
	mustWait(t, a, 2*second+1, newcomer("n:1"), "")
	mustWait(t, a, 4*second, newcomer("n:1"), "")
	a.Advance(4*second + 1)
	mustAdmit(t, a, 4*second+1, newcomer("n:1"))
	if a.Identity() != ringI {
		t.Error(a.Identity())
	}
}

// A ring that an operator sets up hands out its first tables when the state says so.
func TestStateOfARingThatIsSetUpByHand(t *testing.T) {
	a := New(Config{Bits: 16, Lease: second, Grace: 2 * second, Draw: func(n uint64) uint64 { return 7 % max(n, 8) }, Kept: &Record{Empty: true}})
	a.Start(1)
	mustAdmit(t, a, 1, newcomer("a:1"))
	if a.SaveDue(1) {
		t.Error("a ring that is not set up is written")
	}
	a.Setup(2, ring.Layout{})
	a.Advance(2)
	if ids := manifestRings(a); len(ids) > 0 {
		t.Fatal(ids)
	}
	if why := a.Unsettled(); len(why) != 1 || !strings.Contains(why[0], "about to write") {
		t.Error(why)
	}
	r := save(t, a, 2)
	a.Advance(3)
	if ids := manifestRings(a); len(ids) != 1 || ids[0] != r.Identity || r.Empty || !r.Identity.Valid() || r.Identity == "" {
		t.Error(ids, r)
	}
}

func TestForsaking(t *testing.T) {
	var f Forsaking
	now := Time(1)
	count := func(step Time, until int) {
		t.Helper()
		for n := 0; ; n++ {
			if f.OtherRing(now, second) {
				if n != until {
					t.Errorf("given up after %d answers, want %d", n, until)
				}
				return
			}
			now += step
		}
	}
	count(second/2, 40)
	f.OwnRing()
	count(second, 20)
	f.OwnRing()
	count(100*second, 10) // an outage between two answers says nothing
}

func TestOtherRingsTable(t *testing.T) {
	l := &NodeView{Self: ring.Ref{ID: 1, Incarnation: 1}, Bits: 16}
	l, err := l.Manifest(control.Manifest{Epoch: 1, Identity: string(ringI)})
	if err != nil || l.Identity != ringI {
		t.Fatal(l, err)
	}
	if _, err := l.Manifest(control.Manifest{Epoch: 2, Identity: string(ringJ)}); !errors.Is(err, ErrOtherRing) {
		t.Error(err)
	}
	if l, err = l.Manifest(control.Manifest{Epoch: 2}); err != nil || l.Identity != ringI { // of an older registry
		t.Error(l, err)
	}
}
