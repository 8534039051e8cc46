package ringdht

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/status"
)

// settled waits until the registry has everybody where they should be.
func (tr *testRing) settled() {
	tr.t.Helper()
	if err := tr.registry.WaitSettled(tr.ctx()); err != nil {
		tr.t.Fatal(err)
	}
}

// exchange sends a message from each node to each other and waits until all are
// delivered.
func (tr *testRing) exchange(nodes ...*Node) {
	tr.t.Helper()
	var wg sync.WaitGroup
	for _, from := range nodes {
		wg.Go(func() {
			for _, to := range nodes {
				if to == from {
					continue
				}
				if err := from.Send(tr.ctx(), to.ID(), []byte("x")); err != nil {
					tr.t.Errorf("from %d to %d: %v", from.ID(), to.ID(), err)
				}
			}
			if err := from.Flush(tr.ctx()); err != nil {
				tr.t.Errorf("from %d: %v", from.ID(), err)
			}
		})
	}
	wg.Wait()
}

// drop takes a node out of the test's list.
func (tr *testRing) drop(n *Node) {
	tr.nodes = slices.DeleteFunc(tr.nodes, func(x *Node) bool { return x == n })
}

// gone waits until the registry has forgotten a node.
func (tr *testRing) gone(id ID) {
	tr.t.Helper()
	err := tr.registry.await(tr.ctx(), func() bool {
		_, there := tr.registry.members.Holder(uint64(id))
		return !there
	})
	if err != nil {
		tr.t.Fatal(err)
	}
}

// Nodes that join, leave and die after the set-up: each takes part at once, and is
// missed by nobody.
func TestLiveMembership(t *testing.T) {
	for _, net := range []*MemoryNetwork{nil, NewMemoryNetwork(1)} {
		for _, k := range []int{0, 1} {
			t.Run(fmt.Sprintf("memory %v, k %d", net != nil, k), func(t *testing.T) {
				tr := newTestRing(t, net)
				tr.join(nil, WithTraffic())
				tr.setup(k)
				epoch := tr.registry.Epoch()
				for range 8 {
					n := tr.join(nil, WithTraffic())
					if err := n.Ready(tr.ctx()); err != nil {
						t.Fatal(err)
					}
					tr.exchange(tr.nodes...)
				}
				tr.run(Traffic{Messages: 1000})
				left := tr.nodes[3]
				if err := left.Leave(tr.ctx()); err != nil {
					t.Fatal(err)
				}
				tr.drop(left)
				tr.exchange(tr.nodes...)
				died := tr.nodes[2]
				died.Close()
				tr.drop(died)
				tr.gone(died.ID())
				tr.exchange(tr.nodes...)
				tr.run(Traffic{Messages: 1000})
				tr.settled()
				if now := tr.registry.Epoch(); now < epoch+10 {
					t.Errorf("epoch %d after epoch %d and ten changes", now, epoch)
				}
				if a := tr.registry.Audit(); !a.OK() || a.Nodes != 7 || k == 0 && a.Entries != 3 {
					t.Errorf("%v", a)
				}
				for _, gone := range []*Node{left, died} {
					if err := tr.nodes[0].Send(tr.ctx(), gone.ID(), nil); !errors.Is(err, ErrNoSuchNode) {
						t.Errorf("sending to one that is gone: %v", err)
					}
				}
			})
		}
	}
}

// Whoever leaves during a run in which it relays loses nothing for anybody.
func TestLeaveDuringTraffic(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	for range 6 {
		tr.join(nil, WithTraffic())
	}
	leaver := tr.join(nil) // it relays only
	tr.setup(1)
	done := make(chan *status.Summary)
	go func() {
		s, err := tr.registry.RunTraffic(tr.ctx(), Traffic{Messages: 50000})
		if err != nil {
			t.Error(err)
		}
		done <- s
	}()
	for leaver.Status().Counters.Relayed < 1000 {
		time.Sleep(time.Millisecond)
	}
	if err := leaver.Leave(tr.ctx()); err != nil {
		t.Error(err)
	}
	s := <-done
	if s == nil || !s.Balanced() || s.Sum.Sent != 300000 || s.Sum.Received != 300000 || s.Sum.Unknown != 0 {
		t.Fatalf("%s\n%+v", s.Verdict(), s)
	}
	tr.drop(leaver)
	tr.run(Traffic{Messages: 100})
}

// The dead take what they had with them, and each source is told exactly which of its
// messages: those that the handler did not confirm, by Flush and by the callback.
func TestExactlyWhichMessagesAreOfUnknownOutcome(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	release := make(chan struct{})
	var mu sync.Mutex
	var handled uint32
	sink := tr.join(func(ctx context.Context, m Message) {
		n := binary.BigEndian.Uint32(m.Body)
		if n >= 10 {
			hold(ctx, release)
			return
		}
		mu.Lock()
		handled = n + 1
		mu.Unlock()
	})
	told := make(chan Undelivered, 1)
	from := tr.join(nil, WithUndelivered(func(u Undelivered) { told <- u }))
	tr.join(nil)
	tr.setup(0)
	for n := range uint32(25) {
		if err := from.Send(tr.ctx(), sink.ID(), binary.BigEndian.AppendUint32(nil, n)); err != nil {
			t.Fatal(err)
		}
		if n == 9 {
			if err := from.Flush(tr.ctx()); err != nil {
				t.Fatal(err)
			}
		}
	}
	flushed := make(chan error, 1)
	go func() { flushed <- from.Flush(tr.ctx()) }()
	until(t, "the flush waits", func() bool { return from.inc.Load().plane.Flushing() == 1 })
	sink.Close()
	close(release)
	tr.drop(sink)
	err := <-flushed
	var lost *UndeliveredError
	if !errors.As(err, &lost) || len(lost.Streams) != 1 {
		t.Fatalf("got %v", err)
	}
	for name, u := range map[string]Undelivered{"Flush": lost.Streams[0], "callback": <-told} {
		if u.Sink != sink.ID() || u.Messages != 15 || len(u.Bodies) != 15 {
			t.Fatalf("%s: %+v", name, u)
		}
		for i, b := range u.Bodies {
			if n := binary.BigEndian.Uint32(b); n != uint32(10+i) {
				t.Errorf("%s: message %d is %d", name, i, n)
			}
		}
	}
	if handled != 10 {
		t.Errorf("%d messages handled", handled)
	}
}

// A pair that cannot talk is led around; nobody is taken for dead for it.
func TestDegradedPair(t *testing.T) {
	for _, k := range []int{0, 1} {
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net)
		for _, id := range []ID{10, 20, 30, 40, 50, 60} {
			tr.join(nil, WithID(id))
		}
		tr.setup(k)
		tr.exchange(tr.nodes...)
		net.Cut("n1", "n2") // 20 and its successor 30
		tr.exchange(tr.nodes...)
		pairs := tr.registry.Degraded()
		if len(pairs) == 0 || pairs[0].From.ID != 20 || pairs[0].To.ID != 30 {
			t.Errorf("k %d: degraded are %v", k, pairs)
		}
		if n := len(tr.registry.Members()); n != 6 {
			t.Errorf("k %d: %d members", k, n)
		}
		if c := tr.nodes[1].Status().Counters; c.Detoured == 0 {
			t.Errorf("k %d: nothing took the detour", k)
		}
		net.Mend("n1", "n2")
		if err := tr.registry.await(tr.ctx(), func() bool { return len(tr.registry.members.Parted()) == 0 }); err != nil {
			t.Fatal(err)
		}
		tr.exchange(tr.nodes...)
	}
}

// The registry dies and another takes its place: messages flow meanwhile, a death is
// routed around, and the ring that comes back is the same.
func TestRegistryRestart(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net, WithLease(time.Second))
	for i := range 8 {
		tr.join(nil, WithTraffic(), WithID(ID(100*i)))
	}
	tr.setup(0)
	tr.run(Traffic{Messages: 100})
	before, epoch := tr.registry.Members(), tr.registry.Epoch()
	lives := make(map[ID]uint64)
	for _, n := range tr.nodes {
		lives[n.ID()] = n.Incarnation()
	}
	tr.registry.Close()
	for _, n := range tr.nodes {
		<-n.Disconnected()
	}
	tr.exchange(tr.nodes...)
	if _, err := tr.tryJoin(nil); err == nil {
		t.Error("somebody joined without a registry")
	}
	dead := tr.nodes[3]
	dead.Close()
	tr.drop(dead)
	tr.exchange(tr.nodes...) // 200 passes over its successor

	tr.restart(WithLease(time.Second))
	newcomer := tr.join(nil, WithTraffic())
	if err := newcomer.Ready(tr.ctx()); err != nil {
		t.Fatal(err)
	}
	tr.settled()
	for _, n := range tr.nodes[:7] {
		if err := n.WaitConnected(tr.ctx()); err != nil || n.Incarnation() != lives[n.ID()] {
			t.Errorf("node %d has another life: %v", n.ID(), err)
		}
		if n.ID() == newcomer.ID() {
			t.Errorf("ID %d was given twice", n.ID())
		}
	}
	if now := tr.registry.Members(); len(now) != len(before) || tr.registry.Epoch() <= epoch {
		t.Errorf("members %v, before %v; epoch %d, before %d", now, before, tr.registry.Epoch(), epoch)
	}
	err := tr.nodes[0].Send(tr.ctx(), dead.ID(), nil)
	if err == nil { // on a stream that was open
		err = tr.nodes[0].Flush(tr.ctx())
	}
	if dead.ID() != newcomer.ID() && !errors.Is(err, ErrNoSuchNode) && !errors.Is(err, ErrGone) {
		t.Errorf("sending to the dead: %v", err)
	}
	tr.run(Traffic{Messages: 100})
}

// restart starts another registry at the address of the one that was closed.
func (tr *testRing) restart(opts ...RegistryOption) {
	tr.t.Helper()
	if tr.net != nil {
		opts = append(opts, WithTransport(tr.net.Host("registry")))
	}
	r, err := NewRegistry(opts...)
	if err != nil {
		tr.t.Fatal(err)
	}
	if _, err := r.Listen(tr.t.Context(), tr.addr); err != nil {
		tr.t.Fatal(err)
	}
	tr.registry = r
	tr.t.Cleanup(func() { r.Close() })
}

// Who falls silent is found within the lease, and what passes by way of it goes
// another way then; when it is heard again it has a new life.
func TestSilentNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = 3 * time.Second
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		for _, id := range []ID{10, 20, 30, 40, 50} {
			tr.join(nil, WithID(id))
		}
		tr.setup(1)
		tr.exchange(tr.nodes...)
		silent := tr.nodes[2]
		life := silent.Incarnation()
		net.Hold("n2", "") // to and from everybody
		start := time.Now()
		tr.gone(30)
		if took := time.Since(start); took > lease+100*time.Millisecond {
			t.Errorf("found after %v", took)
		}
		others := append(slices.Clone(tr.nodes[:2]), tr.nodes[3:]...)
		if _, err := tr.registry.Setup(tr.ctx(), 1); err != nil { // which tells everybody everything
			t.Fatal(err)
		}
		for _, n := range others {
			if !n.isOver(30, life) {
				t.Errorf("node %d would listen to a life that is over", n.ID())
			}
		}
		start = time.Now()
		tr.exchange(others...)
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("routed around after %v", took)
		}
		net.Heal()
		if err := silent.await(tr.ctx(), func() bool { return silent.Incarnation() != life }); err != nil {
			t.Fatal(err)
		}
		if err := silent.Ready(tr.ctx()); err != nil {
			t.Fatal(err)
		}
		if silent.ID() != 30 || silent.Incarnation() < life {
			t.Errorf("it is node %d, life %d, and was %d", silent.ID(), silent.Incarnation(), life)
		}
		tr.exchange(tr.nodes...)
		tr.close()
	})
}

// A connection to the registry that breaks costs nothing: the same life goes on.
func TestConnectionToTheRegistryBreaks(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	for range 4 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(0)
	n := tr.nodes[0]
	life := n.Incarnation()
	for range 10 {
		lost := n.Disconnected()
		n.ctl.Load().Close()
		<-lost
		if err := n.WaitConnected(tr.ctx()); err != nil {
			t.Fatal(err)
		}
	}
	tr.run(Traffic{Messages: 1000})
	if n.Incarnation() != life || len(tr.registry.Members()) != 4 {
		t.Errorf("life %d, was %d; members %v", n.Incarnation(), life, tr.registry.Members())
	}
}
