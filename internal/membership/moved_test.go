package membership

import (
	"errors"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

const threeLease = 3 * time.Second

// probes returns the effects that ask for a dial, of all that there are.
func probes(a *Authority) (list []Effect) {
	for _, e := range a.Take() {
		if e.Kind == Probe {
			list = append(list, e)
		}
	}
	return list
}

func dead(a *Authority, ref ring.Ref) bool { return a.State(ref) == Unknown }

// three has members with the IDs 1, 2 and 3 at a:1, b:1 and c:1, in a ring that is set up.
func three(t *testing.T) (a *Authority, refs [4]ring.Ref) {
	t.Helper()
	a = New(Config{Bits: 8, Lease: threeLease, Grace: 2 * threeLease, Draw: func(uint64) uint64 { return 0 }})
	for i, addr := range []string{"", "a:1", "b:1", "c:1"} {
		if i > 0 {
			m, err := a.Admit(1, 1, Request{Addr: addr, Token: uint64(i), Want: true, ID: uint64(i)})
			if err != nil {
				t.Fatal(err)
			}
			refs[i] = m.Ref()
		}
	}
	a.Setup(1, ring.Layout{})
	for range 4 {
		a.Advance(1)
		for _, r := range refs[1:] {
			if m := a.find(r); m.sent > 0 {
				a.Linked(r, m.sent)
			}
		}
	}
	if len(a.Unsettled()) > 0 {
		t.Fatal(a.Unsettled())
	}
	a.Take()
	return a, refs
}

func back(ref ring.Ref, addr string, there bool) Request {
	return Request{Addr: addr, Token: ref.ID, ID: ref.ID, Incarnation: ref.Incarnation, Epoch: 1, Ready: true, Verified: there}
}

// A member changes its address when it was found there, and proves that it is the same.
// Members that dial it are told that once, and nothing else.
func TestMemberMoves(t *testing.T) {
	a, refs := three(t)
	a.Disconnected(2, refs[1], "lost")
	if _, err := a.Resume(3, back(refs[1], "x:1", false)); !errors.Is(err, ErrElsewhere) {
		t.Errorf("without a dial: %v", err)
	}
	if a.State(refs[1]) != Suspect || a.find(refs[1]).Addr != "a:1" {
		t.Error("a claim alone has changed something")
	}
	thief := back(refs[1], "x:1", true)
	thief.Token = 99
	if _, err := a.Resume(3, thief); !errors.Is(err, ErrNotYours) {
		t.Errorf("with another token: %v", err)
	}
	m, err := a.Resume(3, back(refs[1], "x:1", true))
	if err != nil || m.Addr != "x:1" || m.Ref() != refs[1] {
		t.Fatalf("%v %v", m, err)
	}
	if _, taken := a.HolderOf("a:1"); taken {
		t.Error("it holds its old address still")
	}
	if id, _ := a.HolderOf("x:1"); id != 1 {
		t.Error("it does not hold its new one")
	}
	a.Take()
	a.Advance(4)
	told := 0
	for _, e := range a.Take() {
		u, ok := e.Body.(control.Update)
		if !ok {
			continue
		}
		told++
		if e.Ref == refs[1] {
			t.Errorf("it was told %+v of itself", u)
		}
		for _, p := range u.Slots {
			if p.ID != 1 || p.Addr != "x:1" {
				t.Errorf("%v was told %+v", e.Ref, u)
			}
		}
		if len(u.Slots) != 1 || !u.NewSuccessors || len(u.Successors) != 2 {
			t.Errorf("%v was told %+v", e.Ref, u)
		}
		for _, s := range u.Successors {
			if s.ID == 1 && s.Addr != "x:1" {
				t.Errorf("%v was told %+v", e.Ref, u)
			}
		}
	}
	if told != 2 {
		t.Errorf("%d were told", told)
	}
	a.Disconnected(5, refs[3], "lost")
	if _, err := a.Resume(5, back(refs[3], "c:1", false)); err != nil {
		t.Fatal(err)
	}
	a.Advance(5)
	for _, e := range a.Take() {
		if _, ok := e.Body.(control.Update); ok {
			t.Errorf("told again: %+v", e)
		}
	}
	// It comes back at its address, which need not be dialled.
	a.Disconnected(6, refs[1], "lost")
	if _, err := a.Resume(7, back(refs[1], "x:1", false)); err != nil {
		t.Error(err)
	}
}

// The answer to a dial of the address that a member has left says nothing about it.
func TestAnswerFromAnAddressThatWasLeft(t *testing.T) {
	a, refs := three(t)
	a.Disconnected(2, refs[1], "lost")
	a.Advance(2)
	asked := probes(a)
	if len(asked) != 1 || asked[0].Addr != "a:1" {
		t.Fatalf("%+v", asked)
	}
	if _, err := a.Resume(3, back(refs[1], "x:1", true)); err != nil {
		t.Fatal(err)
	}
	a.Disconnected(4, refs[1], "lost again")
	a.Probed(5, refs[1], "a:1", Absent)
	if dead(a, refs[1]) {
		t.Error("it is dead because its earlier address does not answer")
	}
	a.Advance(6)
	if asked = probes(a); len(asked) != 1 || asked[0].Addr != "x:1" {
		t.Errorf("%+v", asked)
	}
	a.Probed(7, refs[1], "x:1", Absent)
	if !dead(a, refs[1]) {
		t.Error("it lives, though its address does not answer")
	}
}

// Members that swap their addresses keep their incarnations. A probe of an address that
// another member has taken says nothing about the member that had it.
func TestMembersSwapAddresses(t *testing.T) {
	a, refs := three(t)
	a.Disconnected(2, refs[1], "lost")
	a.Disconnected(2, refs[2], "lost")
	if _, err := a.Resume(3, back(refs[1], "b:1", true)); err != nil {
		t.Fatal(err)
	}
	a.Take()
	if next := a.Advance(3 + minProbe); next <= 3+minProbe {
		t.Errorf("to be called again at %v", next)
	}
	if asked := probes(a); len(asked) != 0 {
		t.Errorf("dialled where it cannot be: %+v", asked)
	}
	a.Probed(4, refs[2], "b:1", Absent) // a dial that was under way
	if dead(a, refs[2]) {
		t.Fatal("the member whose address was taken is dead")
	}
	if _, err := a.Resume(5, back(refs[2], "b:1", false)); !errors.Is(err, ErrElsewhere) {
		t.Errorf("believed that it is where another was found: %v", err)
	}
	if _, err := a.Resume(5, back(refs[2], "a:1", true)); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]uint64{"a:1": 2, "b:1": 1, "c:1": 3} {
		if id, _ := a.HolderOf(addr); id != want {
			t.Errorf("%s is that of %d", addr, id)
		}
	}
	// From now on it is looked for where it is.
	a.Disconnected(6, refs[2], "lost")
	a.Take()
	a.Advance(6)
	if asked := probes(a); len(asked) != 1 || asked[0].Addr != "a:1" {
		t.Errorf("%+v", asked)
	}
	// One that ends without having come back leaves the address to the member that has it.
	b, refs := three(t)
	b.Disconnected(2, refs[1], "lost")
	b.Disconnected(2, refs[2], "lost")
	if _, err := b.Resume(3, back(refs[1], "b:1", true)); err != nil {
		t.Fatal(err)
	}
	b.Advance(2 + threeLease)
	if !dead(b, refs[2]) || dead(b, refs[1]) {
		t.Error("its time is over")
	}
	if id, taken := b.HolderOf("b:1"); !taken || id != 1 {
		t.Error("the address went with the one that had it before")
	}
}

// Two members of an earlier ring claim one address at a new registry. It belongs to the
// one that is found there, and the other has its timeout to name its own.
func TestNewRegistryFindsTwoAtOneAddress(t *testing.T) {
	a := New(Config{Bits: 8, Lease: threeLease, Grace: 2 * threeLease, Draw: func(uint64) uint64 { return 0 }})
	one, two := ring.Ref{ID: 1, Incarnation: 10}, ring.Ref{ID: 2, Incarnation: 20}
	if _, err := a.Resume(1, back(one, "a:1", false)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Resume(2, back(two, "a:1", false)); !errors.Is(err, ErrElsewhere) {
		t.Errorf("%v", err)
	}
	if dead(a, one) || !dead(a, two) {
		t.Error("a claim alone has changed something")
	}
	if _, err := a.Resume(3, back(two, "a:1", true)); err != nil {
		t.Fatal(err)
	}
	if id, _ := a.HolderOf("a:1"); id != 2 || dead(a, one) {
		t.Errorf("%d has the address; the other is dead: %v", id, dead(a, one))
	}
	if _, err := a.Resume(4, back(one, "b:1", true)); err != nil {
		t.Error(err)
	}
	// One that is refused has taken nothing.
	old := back(ring.Ref{ID: 1, Incarnation: 9}, "a:1", true)
	if _, err := a.Resume(5, old); !errors.Is(err, ErrEvicted) {
		t.Errorf("%v", err)
	}
	if id, _ := a.HolderOf("a:1"); id != 2 {
		t.Errorf("%d has the address", id)
	}
}
