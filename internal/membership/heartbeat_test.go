package membership

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/x/ringdht/internal/ring"
)

func TestPace(t *testing.T) {
	for _, c := range []struct {
		lease   time.Duration
		members int
		want    int
	}{
		{3 * time.Second, 0, 1}, {3 * time.Second, 1000, 1}, {3 * time.Second, 1001, 2}, {3 * time.Second, 10000, 10},
		{30 * time.Second, 10000, 1}, {300 * time.Millisecond, 1000, 10}, {10 * time.Millisecond, 4000, MaxPace},
	} {
		a := New(Config{Bits: 16, Lease: c.lease, Draw: func(n uint64) uint64 { return 0 }})
		for i := range c.members {
			if _, err := a.Admit(1, 1, Request{Addr: fmt.Sprint(i), Want: true, ID: uint64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if got := a.targetPace(); got != c.want {
			t.Errorf("%d members with a lease of %v: pace %d, want %d", c.members, c.lease, got, c.want)
		}
	}
}

// A member with a slow pace keeps its timeout until it has followed a faster pace.
func TestPatience(t *testing.T) {
	const lease = 300 * time.Millisecond
	a := New(Config{Bits: 16, Lease: lease, Draw: func(n uint64) uint64 { return 0 }})
	for i := range 200 {
		if _, err := a.Admit(1, 1, Request{Addr: fmt.Sprint(i), Want: true, ID: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	m, _ := a.Holder(0)
	want := func(leases int) {
		t.Helper()
		if got := a.Timeout(m.Ref()); got != time.Duration(leases)*lease {
			t.Errorf("%v, want %d leases", got, leases)
		}
	}
	want(1)
	if got := a.Heartbeat(m.Ref(), 1); got != 2 {
		t.Fatal(got)
	}
	want(2)
	for i := range 100 {
		dead, _ := a.Holder(uint64(i + 100))
		a.Silent(2, dead.Ref())
	}
	if got := a.Heartbeat(m.Ref(), 2); got != 1 {
		t.Fatal(got)
	}
	want(2)
	a.Disconnected(3, m.Ref(), "lost")
	a.Advance(3 + 2*lease - 1)
	if a.State(m.Ref()) != Suspect {
		t.Errorf("after less than two leases: %v", a.State(m.Ref()))
	}
	a.Advance(3 + 2*lease)
	if a.State(m.Ref()) != Unknown {
		t.Errorf("after two leases: %v", a.State(m.Ref()))
	}

	m, _ = a.Holder(1)
	a.Heartbeat(m.Ref(), 1)
	want(1)
	for _, claim := range []int{2, MaxPace, math.MaxInt, math.MinInt} { // it was granted none of these
		a.Heartbeat(m.Ref(), claim)
		want(1)
	}
	if a.Heartbeat(ring.Ref{ID: 7, Incarnation: 1}, 1) != 1 || a.Timeout(ring.Ref{ID: 7, Incarnation: 1}) != lease {
		t.Error("the pace or timeout of a node that is no member")
	}
}

// A member may follow a pace at any moment. Until it has, it is not told a faster one: the
// answer with the faster pace may be lost, and the member go by the slower one.
func TestPaceThatIsUnderWay(t *testing.T) {
	const lease = 300 * time.Millisecond
	a := New(Config{Bits: 16, Lease: lease, Draw: func(n uint64) uint64 { return 0 }})
	for i := range 300 {
		if _, err := a.Admit(1, 1, Request{Addr: fmt.Sprint(i), Want: true, ID: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	m, _ := a.Holder(0)
	beat := func(pace, tell, patience int) {
		t.Helper()
		if got := a.Heartbeat(m.Ref(), pace); got != tell {
			t.Errorf("at pace %d it is told %d, want %d", pace, got, tell)
		}
		if got := a.Timeout(m.Ref()); got != time.Duration(patience)*lease {
			t.Errorf("%v, want %d leases", got, patience)
		}
	}
	beat(1, 3, 3)
	for i := range 200 {
		dead, _ := a.Holder(uint64(i + 100))
		a.Silent(2, dead.Ref())
	}
	beat(1, 3, 3) // sent before the answer came
	beat(3, 1, 3)
	beat(3, 1, 3) // likewise
	beat(1, 1, 1)
}

// Members with a slow pace notice late that their registry is gone, one after the other.
// The next registry waits for them.
func TestGraceForASlowPace(t *testing.T) {
	const lease = 3 * time.Second
	for _, explicit := range []bool{false, true} {
		a := New(Config{Bits: 16, Lease: lease, Grace: 2 * lease, Draw: func(n uint64) uint64 { return 0 }})
		if explicit {
			a.Recover(1)
		}
		resume := func(now time.Duration, id uint64, pace int) error {
			a.Advance(now)
			_, err := a.Resume(now, Request{Addr: fmt.Sprint(id), ID: id, Incarnation: id + 1, Epoch: 5, Size: 1, Ready: true, Pace: pace})
			return err
		}
		for id, pace := range []int{1, 7, 7, 4, 7, 7, 7, 7} {
			if err := resume(1, uint64(id), pace); err != nil {
				t.Fatal(err)
			}
		}
		const beat = 7 * lease / 3 // between two heartbeats
		if err := resume(1+beat+lease/2, 30, 7); err != nil {
			t.Error("it does not wait for the last member:", err)
		}
		a.Advance(1 + 4*lease - 1)
		if !a.Recovering() {
			t.Error("it waits for less than two leases and six thirds")
		}
		a.Advance(1 + 4*lease)
		if a.Recovering() {
			t.Error("it waits for more than that")
		}
	}
}

// One member delays the end of a recovery by little, by any pace that it claims, and has no longer timeout
// than two leases.
func TestGraceForALiar(t *testing.T) {
	const lease = 3 * time.Second
	a := New(Config{Bits: 16, Lease: lease, Grace: 2 * lease, Draw: func(n uint64) uint64 { return 0 }})
	m, err := a.Resume(1, Request{Addr: "x", ID: 7, Incarnation: 1, Epoch: 5, Size: 1, Ready: true, Pace: MaxPace})
	if err != nil {
		t.Fatal(err)
	}
	a.Advance(1 + 2*lease + lease/3 - 1)
	if !a.Recovering() {
		t.Error("the recovery ends early")
	}
	a.Advance(1 + 2*lease + lease/3)
	if a.Recovering() {
		t.Error("the recovery goes on")
	}
	if got := a.Timeout(m.Ref()); got != 2*lease {
		t.Errorf("it may be silent for %v", got)
	}
	if tell := a.Heartbeat(m.Ref(), MaxPace); tell != 1 || a.Timeout(m.Ref()) != 2*lease {
		t.Errorf("it is told %d, and may be silent for %v", tell, a.Timeout(m.Ref()))
	}
	a.Heartbeat(m.Ref(), 1)
	if got := a.Timeout(m.Ref()); got != lease {
		t.Errorf("with the pace that it was told it may be silent for %v", got)
	}
}

// A registry that stood still starts the timeouts of suspects anew, at their pace.
func TestPausedAtASlowPace(t *testing.T) {
	const lease = 3 * time.Second
	a := New(Config{Bits: 16, Lease: lease, Draw: func(n uint64) uint64 { return 0 }})
	m, err := a.Admit(1, 1, Request{Addr: "x"})
	if err != nil {
		t.Fatal(err)
	}
	a.find(m.Ref()).granted = 4
	a.Heartbeat(m.Ref(), 4)
	a.Disconnected(1, m.Ref(), "lost")
	a.DidNotRun(lease, false)
	a.Advance(1 + 9*lease - 1)
	if a.State(m.Ref()) != Suspect {
		t.Error("it had less time than four leases after the pause")
	}
	a.Advance(1 + 9*lease)
	if a.State(m.Ref()) != Unknown {
		t.Error("it has more time than that")
	}
}
