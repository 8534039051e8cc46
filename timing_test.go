package ringdht

import (
	"errors"

	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/control"
)

// Every rule of the membership that has a time in it, in virtual time.

const lease = 3 * time.Second

// timed runs a test on a ring of nodes with these IDs in virtual time.
func timed(t *testing.T, k int, ids []ID, test func(t *testing.T, tr *testRing, net *MemoryNetwork)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		for _, id := range ids {
			tr.join(nil, WithID(id), WithTraffic())
		}
		tr.setup(k)
		tr.exchange(tr.nodes...)
		test(t, tr, net)
		tr.close()
	})
}

// took fails the test if something that began at start took longer than limit.
func took(t *testing.T, what string, start time.Time, limit time.Duration) {
	t.Helper()
	if d := time.Since(start); d > limit {
		t.Errorf("%s took %v, more than %v", what, d, limit)
	}
}

var six = []ID{10, 20, 30, 40, 50, 60}

// A process that ends is out of everybody's way at once.
func TestCrashIsFoundAtOnce(t *testing.T) {
	timed(t, 1, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		start := time.Now()
		dead := tr.nodes[2]
		dead.Close()
		tr.drop(dead)
		tr.gone(30)
		took(t, "finding the dead", start, 100*time.Millisecond)
		start = time.Now()
		tr.exchange(tr.nodes...)
		took(t, "routing around", start, 600*time.Millisecond) // a timeout of a stream, at most
	})
}

// Three neighbours that die at once, without a registry: who is behind them knows whom
// to go on with.
func TestThreeNeighboursDie(t *testing.T) {
	for _, k := range []int{1, 3} {
		timed(t, k, []ID{10, 20, 30, 40, 50, 60, 70, 80}, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
			tr.registry.Close()
			for _, n := range tr.nodes[1:4] {
				n.Close()
			}
			tr.nodes = append(tr.nodes[:1], tr.nodes[4:]...)
			start := time.Now()
			tr.exchange(tr.nodes...)
			took(t, "routing around", start, 2*time.Second)
		})
	}
}

// A member that is out of sight, and of which nothing can be told, has a lease to come
// back, and is the same as before if it does.
func TestOutOfSight(t *testing.T) {
	for _, back := range []bool{true, false} {
		timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
			n := tr.nodes[1]
			life := n.Incarnation()
			net.Hold("registry", "n1") // probes hang
			net.Hold("n1", "registry")
			n.ctl.Load().Close()
			start := time.Now()
			tr.registry.mu.Lock()
			for s := range tr.registry.conns {
				if (*s).RemoteAddr().String()[:3] == "n1:" {
					(*s).Close()
				}
			}
			tr.registry.mu.Unlock()
			if back {
				time.Sleep(lease / 2)
				net.Heal()
				if err := n.WaitConnected(tr.ctx()); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * lease)
				if n.Incarnation() != life || len(tr.registry.Members()) != 6 {
					t.Errorf("life %d, was %d; %v", n.Incarnation(), life, tr.registry.Members())
				}
				tr.exchange(tr.nodes...)
				return
			}
			tr.gone(20)
			if d := time.Since(start); d < lease || d > lease+100*time.Millisecond {
				t.Errorf("given up after %v", d)
			}
			net.Heal()
		})
	}
}

// However long a registry was away, its nodes are back within half a lease.
func TestNodesKnockOften(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		tr.registry.Close()
		time.Sleep(10 * time.Minute)
		tr.exchange(tr.nodes...)
		if n := len(tr.nodes[0].inc.Load().pulse.waiting); n > maxWaiting {
			t.Errorf("%d beats are remembered that nobody answered", n)
		}
		tr.restart(WithLease(lease))
		start := time.Now()
		if err := tr.registry.WaitMembers(tr.ctx(), 6); err != nil {
			t.Fatal(err)
		}
		took(t, "coming back", start, lease/2+100*time.Millisecond)
		tr.settled()
		took(t, "rebuilding", start, 2*lease+time.Second)
		tr.registry.Close()
	})
}

// While a registry waits for members of the ring that was it evicts nobody, gives no
// IDs, and goes on when all are back or have had their time.
func TestGrace(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		tr.registry.Close()
		for _, n := range tr.nodes {
			<-n.Disconnected()
		}
		net.Hold("n5", "registry")
		tr.restart(WithLease(lease))
		start := time.Now()
		if err := tr.registry.WaitMembers(tr.ctx(), 5); err != nil {
			t.Fatal(err)
		}
		late := tr.nodes[5]
		life := late.Incarnation()
		joined := make(chan *Node)
		go func() {
			n, err := Join(tr.ctx(), tr.addr, nil, WithTransport(net.Host("newcomer")))
			if err != nil {
				t.Error(err)
			}
			joined <- n
		}()
		time.Sleep(lease)
		if n := len(tr.registry.Members()); n != 5 {
			t.Errorf("%d members", n)
		}
		tr.exchange(tr.nodes...) // the late one is still part of the ring
		net.Heal()
		n := <-joined
		took(t, "all that", start, 2*lease+lease/2)
		tr.nodes = append(tr.nodes, n)
		tr.settled()
		if late.Incarnation() != life || len(tr.registry.Members()) != 7 {
			t.Errorf("life %d, was %d; %v", late.Incarnation(), life, tr.registry.Members())
		}
		tr.exchange(tr.nodes...)
		tr.registry.Close()
	})
}

// One that does not come back in time is gone; when it comes, it is somebody new.
func TestLateForTheGrace(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		tr.registry.Close()
		for _, n := range tr.nodes {
			<-n.Disconnected()
		}
		late := tr.nodes[5]
		life := late.Incarnation()
		net.Hold("n5", "registry")
		tr.restart(WithLease(lease))
		tr.settled()
		if n := len(tr.registry.Members()); n != 5 {
			t.Errorf("%d members", n)
		}
		net.Heal()
		if err := late.await(tr.ctx(), func() bool { return late.Incarnation() != life }); err != nil {
			t.Fatal(err)
		}
		if err := late.Ready(tr.ctx()); err != nil {
			t.Fatal(err)
		}
		if late.ID() != 60 {
			t.Errorf("it has ID %d now", late.ID())
		}
		tr.exchange(tr.nodes...)
		tr.registry.Close()
	})
}

// A registry that is told that it takes the place of another admits nobody new for so
// long.
func TestWithGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, NewMemoryNetwork(1), WithLease(lease), WithGrace(5*time.Second))
		start := time.Now()
		tr.join(nil)
		if d := time.Since(start); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("admitted after %v", d)
		}
		tr.close()
	})
}

// A newcomer that does not say that it is linked holds up others for a lease, and is
// left out until it does.
func TestNewcomerThatDoesNotLink(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		other := newTestRing(t, net) // whose node answers the probe
		other.name = "other"
		lame := other.join(nil)
		m := tr.raw(t)
		m.Send(control.TypeRegister, control.Register{Addr: lame.addr, Other: true, Token: lame.token})
		if err := tr.registry.WaitMembers(tr.ctx(), 7); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		go func() { // it lives, but does nothing
			for {
				select {
				case <-stop:
					return
				case <-time.After(lease / 3):
					m.Send(control.TypeBeat, control.Beat{})
				}
			}
		}()
		time.Sleep(time.Millisecond)
		start := time.Now()
		n := tr.join(nil)
		if err := n.Ready(tr.ctx()); err != nil {
			t.Fatal(err)
		}
		took(t, "joining beside it", start, lease+time.Second)
		tr.exchange(tr.nodes...)
		for p := range tr.registry.Tables() {
			if p.Addr == lame.addr {
				t.Error("it has a table in force")
			}
		}
		close(stop)
		other.close()
		m.Close()
	})
}

// Long entries lag behind until nobody has come or gone for a second.
func TestTablesAreExactWhenItIsQuiet(t *testing.T) {
	var ids []ID
	for i := range 40 {
		ids = append(ids, ID(100*i))
	}
	timed(t, 0, ids, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		for i := range 5 {
			n := tr.join(nil, WithID(ID(100*i+50)))
			if err := n.Ready(tr.ctx()); err != nil {
				t.Fatal(err)
			}
		}
		tr.registry.mu.Lock()
		lag := tr.registry.members.Lagging()
		tr.registry.mu.Unlock()
		if lag == 0 {
			t.Error("every entry was put right at once: a join costs a message to everybody")
		}
		start := time.Now()
		tr.settled()
		if d := time.Since(start); d < time.Second-100*time.Millisecond || d > time.Second+100*time.Millisecond {
			t.Errorf("settled after %v", d)
		}
	})
}

// A pair that is cut off silently is led around when its link has not answered for a
// lease. Nobody is taken for dead.
func TestSilentPair(t *testing.T) {
	timed(t, 1, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		net.Hold("n1", "n2") // 20 and 30, as a cable that is cut
		net.Hold("n2", "n1")
		start := time.Now()
		tr.exchange(tr.nodes...)
		took(t, "going around", start, lease+2*time.Second) // its silence is noticed, and the stream asks again
		if tr.nodes[1].Status().Counters.Detoured == 0 || len(tr.registry.Members()) != 6 {
			t.Errorf("members %v", tr.registry.Members())
		}
		if err := tr.registry.await(tr.ctx(), func() bool { return len(tr.registry.members.Parted()) > 0 }); err != nil {
			t.Error(err)
		}
		net.Heal()
		if err := tr.registry.await(tr.ctx(), func() bool { return len(tr.registry.members.Parted()) == 0 }); err != nil {
			t.Error(err)
		}
		tr.exchange(tr.nodes...)
	})
}

// Half of the ring loses the other half and the registry. Each half goes on by itself,
// and when the cut is healed they are one ring again.
func TestHalfAgainstHalf(t *testing.T) {
	for _, k := range []int{1, 3} {
		timed(t, k, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
			lives := make(map[*Node]uint64)
			for _, n := range tr.nodes {
				lives[n] = n.Incarnation()
			}
			net.Partition([]string{"registry", "n0", "n2", "n4"}, []string{"n1", "n3", "n5"})
			here, there := []*Node{tr.nodes[0], tr.nodes[2], tr.nodes[4]}, []*Node{tr.nodes[1], tr.nodes[3], tr.nodes[5]}
			start := time.Now()
			tr.exchange(here...)
			took(t, "the half with the registry", start, 3*lease)
			start = time.Now()
			tr.exchange(there...)
			took(t, "the half without", start, 3*lease)
			if err := tr.registry.await(tr.ctx(), func() bool { return tr.registry.members.Len() == 3 }); err != nil {
				t.Fatal(err)
			}
			net.Heal()
			for _, n := range there {
				if err := n.await(tr.ctx(), func() bool { return n.Incarnation() != lives[n] }); err != nil {
					t.Fatal(err)
				}
				if err := n.Ready(tr.ctx()); err != nil {
					t.Fatal(err)
				}
			}
			for _, n := range here {
				if n.Incarnation() != lives[n] {
					t.Errorf("node %d was evicted", n.ID())
				}
			}
			for _, n := range tr.nodes { // what it sent before, to the other half
				var lost *UndeliveredError
				if err := n.Flush(tr.ctx()); err != nil && !errors.As(err, &lost) {
					t.Error(err)
				}
			}
			tr.settled()
			tr.exchange(tr.nodes...)
		})
	}
}

// Who was taken for dead and finds its ID given away, also if it had asked for it,
// becomes a member under another one. A newcomer that asks for an ID in use is refused.
func TestIDGivenAway(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		if _, err := tr.tryJoin(nil, WithID(40)); !errors.Is(err, ErrIDTaken) {
			t.Errorf("got %v", err)
		}
		silent := tr.nodes[2]
		life := silent.Incarnation()
		net.Hold("n2", "")
		tr.gone(30)
		heir := tr.join(nil, WithID(30))
		net.Heal()
		if err := silent.await(tr.ctx(), func() bool { return silent.Incarnation() != life }); err != nil {
			t.Fatal(err)
		}
		if err := silent.Ready(tr.ctx()); err != nil {
			t.Fatal(err)
		}
		if silent.ID() == 30 || heir.ID() != 30 {
			t.Errorf("the old one is %d, the new one %d", silent.ID(), heir.ID())
		}
		tr.settled()
		tr.exchange(tr.nodes...)
	})
}
