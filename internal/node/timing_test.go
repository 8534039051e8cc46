package node_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Every rule of the membership that has a time in it, in virtual time.

// A process that ends is out of everybody's way at once.
func TestCrashIsFoundAtOnce(t *testing.T) {
	ringtest.InBubble(t, 1, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		start := time.Now()
		dead := tr.Nodes[2]
		dead.Close()
		tr.Remove(dead)
		tr.WaitGone(30)
		ringtest.CheckElapsed(t, "finding the dead", start, 100*time.Millisecond)
		start = time.Now()
		tr.Exchange(tr.Nodes...)
		ringtest.CheckElapsed(t, "routing around", start, 600*time.Millisecond) // a timeout of a stream, at most
	})
}

// Three neighbours that die at once, without a registry: who is behind them knows whom
// to go on with.
func TestThreeNeighboursDie(t *testing.T) {
	for _, k := range []int{1, 3} {
		ringtest.InBubble(t, k, []ringdht.ID{10, 20, 30, 40, 50, 60, 70, 80}, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
			tr.Registry.Close()
			for _, n := range tr.Nodes[1:4] {
				n.Close()
			}
			tr.Nodes = append(tr.Nodes[:1], tr.Nodes[4:]...)
			start := time.Now()
			tr.Exchange(tr.Nodes...)
			ringtest.CheckElapsed(t, "routing around", start, 2*time.Second)
		})
	}
}

// However long a registry was away, its nodes are back within half a lease.
func TestNodesReconnectOften(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		tr.Registry.Close()
		time.Sleep(10 * time.Minute)
		tr.Exchange(tr.Nodes...)
		if n := ringtest.NodeOf(tr.Nodes[0]).Present().Unanswered(); n > node.MaxUnanswered {
			t.Errorf("%d beats are remembered that nobody answered", n)
		}
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease))
		start := time.Now()
		if err := tr.Registry.WaitMembers(tr.Ctx(), 6); err != nil {
			t.Fatal(err)
		}
		ringtest.CheckElapsed(t, "coming back", start, ringtest.Lease/2+100*time.Millisecond)
		tr.WaitSettled()
		ringtest.CheckElapsed(t, "rebuilding", start, 2*ringtest.Lease+time.Second)
		tr.Registry.Close()
	})
}

// While a registry waits for members of the ring that was it evicts nobody, gives no
// IDs, and goes on when all are back or have had their time.
func TestGrace(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		tr.Registry.Close()
		for _, n := range tr.Nodes {
			<-n.Disconnected()
		}
		net.Hold("n5", "registry")
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease))
		start := time.Now()
		if err := tr.Registry.WaitMembers(tr.Ctx(), 5); err != nil {
			t.Fatal(err)
		}
		late := tr.Nodes[5]
		inc := late.Incarnation()
		joined := make(chan *ringtest.Node)
		go func() {
			n, err := ringtest.Join(tr.Ctx(), tr.Line(), nil, ringdht.WithTransport(net.Host("newcomer")))
			if err != nil {
				t.Error(err)
			}
			joined <- n
		}()
		time.Sleep(ringtest.Lease)
		if n := len(tr.Registry.Members()); n != 5 {
			t.Errorf("%d members", n)
		}
		tr.Exchange(tr.Nodes...) // the late one is still part of the ring
		net.Heal()
		n := <-joined
		ringtest.CheckElapsed(t, "all that", start, 2*ringtest.Lease+ringtest.Lease/2)
		tr.Nodes = append(tr.Nodes, n)
		tr.WaitSettled()
		if late.Incarnation() != inc || len(tr.Registry.Members()) != 7 {
			t.Errorf("incarnation %d, was %d; %v", late.Incarnation(), inc, tr.Registry.Members())
		}
		tr.Exchange(tr.Nodes...)
		tr.Registry.Close()
	})
}

// One that does not come back in time is gone; when it comes, it is somebody new.
func TestLateForTheGrace(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		tr.Registry.Close()
		for _, n := range tr.Nodes {
			<-n.Disconnected()
		}
		late := tr.Nodes[5]
		inc := late.Incarnation()
		net.Hold("n5", "registry")
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease))
		tr.WaitSettled()
		if n := len(tr.Registry.Members()); n != 5 {
			t.Errorf("%d members", n)
		}
		net.Heal()
		if err := ringtest.NodeOf(late).Await(tr.Ctx(), func() bool { return late.Incarnation() != inc }); err != nil {
			t.Fatal(err)
		}
		if err := late.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		if late.ID() != 60 {
			t.Errorf("it has ID %d now", late.ID())
		}
		tr.Exchange(tr.Nodes...)
		tr.Registry.Close()
	})
}

// A registry that is told that it takes the place of another admits nobody new for so
// long.
func TestWithGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease), ringdht.WithGrace(5*time.Second))
		start := time.Now()
		tr.Join(nil)
		if d := time.Since(start); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("admitted after %v", d)
		}
		tr.Close()
	})
}

// A newcomer that does not say that it is linked holds up others for a lease, and is
// left out until it does.
func TestNewcomerThatDoesNotLink(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		other := ringtest.New(t, net) // whose node answers the probe
		other.Name = "other"
		lame := other.Join(nil)
		m := tr.DialRaw(t)
		m.Send(control.TypeRegister, control.Register{Addr: lame.Peer().Addr, Other: true, Token: ringtest.NodeOf(lame).Token()})
		if err := tr.Registry.WaitMembers(tr.Ctx(), 7); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		go func() { // it lives, but does nothing
			for {
				select {
				case <-stop:
					return
				case <-time.After(ringtest.Lease / 3):
					m.Send(control.TypeBeat, control.Beat{})
				}
			}
		}()
		time.Sleep(time.Millisecond)
		start := time.Now()
		n := tr.Join(nil)
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		ringtest.CheckElapsed(t, "joining beside it", start, ringtest.Lease+time.Second)
		tr.Exchange(tr.Nodes...)
		for p := range tr.Registry.Tables() {
			if p.Addr == lame.Peer().Addr {
				t.Error("it has a table in force")
			}
		}
		close(stop)
		other.Close()
		m.Close()
	})
}

// Long entries lag behind until nobody has come or gone for a second.
func TestTablesAreExactWhenItIsQuiet(t *testing.T) {
	var ids []ringdht.ID
	for i := range 40 {
		ids = append(ids, ringdht.ID(100*i))
	}
	ringtest.InBubble(t, 0, ids, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		for i := range 5 {
			n := tr.Join(nil, ringdht.WithID(ringdht.ID(100*i+50)))
			if err := n.Ready(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
		}
		lag := 0
		ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { lag = ringtest.RegistryOf(tr.Registry).Authority().Lagging(); return true })
		if lag == 0 {
			t.Error("every entry was put right at once: a join costs a message to everybody")
		}
		start := time.Now()
		tr.WaitSettled()
		if d := time.Since(start); d < time.Second-100*time.Millisecond || d > time.Second+100*time.Millisecond {
			t.Errorf("settled after %v", d)
		}
	})
}

// A pair that is cut off silently is led around when its link has not answered for a
// lease. Nobody is taken for dead.
func TestSilentPair(t *testing.T) {
	ringtest.InBubble(t, 1, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		net.Hold("n1", "n2") // 20 and 30, as a cable that is cut
		net.Hold("n2", "n1")
		start := time.Now()
		tr.Exchange(tr.Nodes...)
		ringtest.CheckElapsed(t, "going around", start, ringtest.Lease+2*time.Second) // its silence is noticed, and the stream asks again
		if tr.Nodes[1].Status().Counters.Detoured == 0 || len(tr.Registry.Members()) != 6 {
			t.Errorf("members %v", tr.Registry.Members())
		}
		if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return len(ringtest.RegistryOf(tr.Registry).Authority().Unreachable()) > 0 }); err != nil {
			t.Error(err)
		}
		net.Heal()
		if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return len(ringtest.RegistryOf(tr.Registry).Authority().Unreachable()) == 0 }); err != nil {
			t.Error(err)
		}
		tr.Exchange(tr.Nodes...)
	})
}

// Half of the ring loses the other half and the registry. Each half goes on by itself,
// and when the cut is healed they are one ring again.
func TestHalfAgainstHalf(t *testing.T) {
	for _, k := range []int{1, 3} {
		ringtest.InBubble(t, k, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
			incs := make(map[*ringtest.Node]uint64)
			for _, n := range tr.Nodes {
				incs[n] = n.Incarnation()
			}
			net.Partition([]string{"registry", "n0", "n2", "n4"}, []string{"n1", "n3", "n5"})
			here, there := []*ringtest.Node{tr.Nodes[0], tr.Nodes[2], tr.Nodes[4]}, []*ringtest.Node{tr.Nodes[1], tr.Nodes[3], tr.Nodes[5]}
			start := time.Now()
			tr.Exchange(here...)
			ringtest.CheckElapsed(t, "the half with the registry", start, 3*ringtest.Lease)
			start = time.Now()
			tr.Exchange(there...)
			ringtest.CheckElapsed(t, "the half without", start, 3*ringtest.Lease)
			if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(tr.Registry).Authority().Len() == 3 }); err != nil {
				t.Fatal(err)
			}
			net.Heal()
			for _, n := range there {
				if err := ringtest.NodeOf(n).Await(tr.Ctx(), func() bool { return n.Incarnation() != incs[n] }); err != nil {
					t.Fatal(err)
				}
				if err := n.Ready(tr.Ctx()); err != nil {
					t.Fatal(err)
				}
			}
			for _, n := range here {
				if n.Incarnation() != incs[n] {
					t.Errorf("node %d was evicted", n.ID())
				}
			}
			for _, n := range tr.Nodes { // what it sent before, to the other half
				var lost *status.UndeliveredError
				if err := n.Flush(tr.Ctx()); err != nil && !errors.As(err, &lost) {
					t.Error(err)
				}
			}
			tr.WaitSettled()
			tr.Exchange(tr.Nodes...)
		})
	}
}

// Who was taken for dead and finds its ID given away, also if it had asked for it,
// becomes a member under another one. A newcomer that asks for an ID in use is refused.
func TestIDGivenAway(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		if _, err := tr.TryJoin(nil, ringdht.WithID(40)); !errors.Is(err, ringdht.ErrTaken) || !strings.Contains(err.Error(), "ID already taken") {
			t.Errorf("got %v", err)
		}
		silent := tr.Nodes[2]
		inc := silent.Incarnation()
		net.Hold("n2", "")
		tr.WaitGone(30)
		heir := tr.Join(nil, ringdht.WithID(30))
		net.Heal()
		if err := ringtest.NodeOf(silent).Await(tr.Ctx(), func() bool { return silent.Incarnation() != inc }); err != nil {
			t.Fatal(err)
		}
		if err := silent.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		if silent.ID() == 30 || heir.ID() != 30 {
			t.Errorf("the old one is %d, the new one %d", silent.ID(), heir.ID())
		}
		tr.WaitSettled()
		tr.Exchange(tr.Nodes...)
	})
}
