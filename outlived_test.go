package ringdht

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/stream"
)

// behind sets a registry's clock back.
func behind(d time.Duration) RegistryOption {
	return registryOption(func(c *registryConfig) { c.wall = func() time.Time { return time.Now().Add(-d) } })
}

// outlast is a ring in which node 7, the host n3, sends to all others, and dies with its
// registry. Of the others only node 10 has ever sent to it, so only that one forgets it when
// the next registry does not list it.
func outlast(t *testing.T, test func(t *testing.T, tr *testRing, net *MemoryNetwork, first uint64)) {
	synctest.Test(t, func(t *testing.T) {
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		for _, id := range []ID{10, 20, 30, 7} {
			tr.join(nil, WithID(id), WithTraffic())
		}
		tr.setup(0)
		d := tr.nodes[3]
		for i, n := range tr.nodes[:3] {
			tr.deliver(d, n)
			if i == 0 {
				tr.deliver(n, d)
			}
		}
		net.Cut("registry", "") // so the registry does not say that it is gone
		d.Close()
		tr.drop(d)
		tr.registry.Close()
		net.Mend("registry", "n3")
		test(t, tr, net, d.Incarnation())
		tr.close()
	})
}

// untilDone does again what may have to wait for another life.
func untilDone(t testing.TB, ctx context.Context, what string, do func() error) {
	t.Helper()
	for err := do(); err != nil; err = do() {
		if handshake.Pause(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// deliver sends from one node to another, again if the life of the source ends.
func (tr *testRing) deliver(from, to *Node) {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*lease)
	defer cancel()
	untilDone(tr.t, ctx, "delivery", func() error {
		if err := from.Ready(ctx); err != nil {
			return err
		}
		if err := from.Send(ctx, to.ID(), []byte("x")); err != nil {
			return err
		}
		return from.Flush(ctx, to.ID())
	})
}

// A registry whose clock is behind gives lives that are greater than each of which a
// member tells it.
func TestLivesGrowThoughTheClockIsBehind(t *testing.T) {
	outlast(t, func(t *testing.T, tr *testRing, net *MemoryNetwork, first uint64) {
		net.Heal()
		tr.restart(WithLease(lease), behind(time.Hour))
		for _, n := range tr.nodes {
			if err := n.WaitConnected(tr.ctx()); err != nil {
				t.Fatal(err)
			}
		}
		d := tr.join(nil, WithID(7), WithTraffic())
		second := d.Incarnation()
		if second <= first {
			t.Errorf("life %d after life %d", second, first)
		}
		for _, n := range tr.nodes[:3] {
			tr.deliver(d, n)
			tr.deliver(n, d)
		}
		if d.Incarnation() != second || d.ID() != 7 {
			t.Errorf("node %d has life %d, had life %d", d.ID(), d.Incarnation(), second)
		}
	})
}

// Those who remember an earlier life come back after a smaller one was given. They refuse
// its streams, and it gets another one at once, under the same ID.
func TestALifeThatIsTooSmallIsReplaced(t *testing.T) {
	outlast(t, func(t *testing.T, tr *testRing, net *MemoryNetwork, first uint64) {
		tr.restart(WithLease(lease), behind(time.Hour))
		d := tr.join(nil, WithID(7), WithTraffic())
		if d.Incarnation() >= first {
			t.Fatalf("life %d after life %d: this test shows nothing", d.Incarnation(), first)
		}
		net.Heal()
		tr.settled()
		for len(tr.registry.Members()) < 4 {
			time.Sleep(lease / 10)
		}
		tr.settled()
		start := time.Now()
		for _, n := range tr.nodes[:3] {
			tr.deliver(d, n)
			tr.deliver(n, d)
		}
		took(t, "getting another life", start, 2*lease)
		if d.Incarnation() <= first || d.ID() != 7 {
			t.Errorf("node %d has life %d after life %d", d.ID(), d.Incarnation(), first)
		}
		tr.settled()
		tr.run(Traffic{Messages: 100})
	})
}

// What was accepted before it was known that the life is too small is told.
func TestWhatALifeThatIsTooSmallHadAcceptedIsTold(t *testing.T) {
	outlast(t, func(t *testing.T, tr *testRing, net *MemoryNetwork, first uint64) {
		tr.restart(WithLease(lease), behind(time.Hour))
		told := make(chan Undelivered, 10)
		d := tr.join(nil, WithID(7), WithTraffic(), WithUndelivered(func(u Undelivered) { told <- u }))
		net.Heal()
		for len(tr.registry.Members()) < 4 {
			time.Sleep(lease / 10)
		}
		tr.settled()
		if err := d.Ready(tr.ctx()); err != nil {
			t.Fatal(err)
		}
		if err := d.Send(tr.ctx(), 20, []byte("accepted")); err != nil { // while its stream opens
			t.Fatal(err)
		}
		if u := <-told; u.Sink != 20 || u.Messages != 1 || len(u.Bodies) != 1 || !errors.Is(u.Err, ErrEvicted) {
			t.Errorf("told %+v", u)
		}
		tr.deliver(d, tr.nodes[0])
	})
}

// A node that is leaving begins no other life for a sink's sake: its stream ends with the
// reason.
func TestALifeThatIsTooSmallLeaves(t *testing.T) {
	outlast(t, func(t *testing.T, tr *testRing, net *MemoryNetwork, first uint64) {
		tr.restart(WithLease(lease), behind(time.Hour))
		d := tr.join(nil, WithID(7), WithTraffic())
		net.Heal()
		for len(tr.registry.Members()) < 4 {
			time.Sleep(lease / 10)
		}
		tr.settled()
		if err := d.Ready(tr.ctx()); err != nil {
			t.Fatal(err)
		}
		net.Delay("n1", "", lease/10, 0) // the answer comes when it is leaving
		if err := d.Send(tr.ctx(), 20, []byte("accepted")); err != nil {
			t.Fatal(err)
		}
		start, life := time.Now(), d.Incarnation()
		err := d.Leave(tr.ctx())
		var lost *UndeliveredError
		if !errors.As(err, &lost) || len(lost.Streams) != 1 || !errors.Is(lost.Streams[0].Err, stream.ErrOutlived) || errors.Is(err, ErrEvicted) {
			t.Errorf("leaving: %v", err)
		}
		took(t, "leaving", start, 2*lease)
		if d.Incarnation() != life {
			t.Error("it has begun another life to leave it")
		}
		tr.drop(d)
	})
}

// A sink's word has the node begin a life that is later than the one named, once, and not
// again before it has rested; and it believes no word that makes no sense.
func TestASinksWordEndsALifeOnce(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		n := tr.nodes[0]
		inc := n.inc.Load()
		if inc.refusedFor(control.MaxLife + 1) {
			t.Error("a life beyond all sense was believed")
		}
		next := func(later uint64) (took time.Duration) {
			t.Helper()
			before, start := n.inc.Load(), time.Now()
			for n.inc.Load() == before {
				if !before.refusedFor(later) {
					t.Fatal("no other life is to begin")
				}
				time.Sleep(100 * time.Millisecond) // as often as a stream may ask
			}
			if now := n.Incarnation(); now <= later || n.ID() != 10 || context.Cause(before.ctx) == nil || !errors.Is(context.Cause(before.ctx), ErrEvicted) {
				t.Errorf("node %d has life %d, later than %d; the one before ended with %v", n.ID(), now, later, context.Cause(before.ctx))
			}
			if err := n.Ready(tr.ctx()); err != nil {
				t.Fatal(err)
			}
			return time.Since(start)
		}
		if d := next(n.Incarnation() + 1<<40); d > lease/2 {
			t.Errorf("another life after %v", d)
		}
		if d := next(n.Incarnation() + 1<<40); d < lease/2 || d > 2*lease {
			t.Errorf("the second one after %v", d)
		}
		if d := next(n.Incarnation() + 1<<40); d < lease || d > 4*lease {
			t.Errorf("the third one after %v", d)
		}
		tr.settled()
		tr.exchange(tr.nodes...)
	})
}

// While there is no registry, or it rebuilds the ring and gives no lives, a node goes on with
// the one that it has; then it gets another.
func TestALifeEndsOnlyWhenThereIsAnother(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		n := tr.nodes[0]
		life, later := n.Incarnation(), n.Incarnation()+1<<40
		goesOn := func(d time.Duration) {
			t.Helper()
			for range 10 {
				n.inc.Load().refusedFor(later)
				time.Sleep(d / 10)
			}
			if n.Incarnation() != life {
				t.Fatal("it has given up its life")
			}
			tr.exchange(tr.nodes...)
		}
		tr.registry.Close()
		<-n.Disconnected()
		goesOn(2 * lease)
		tr.restart(WithLease(lease))
		if err := n.WaitConnected(tr.ctx()); err != nil {
			t.Fatal(err)
		}
		goesOn(lease / 2)
		tr.settled()
		if err := n.await(tr.ctx(), func() bool { return n.Incarnation() > later }); err != nil {
			t.Fatal(err)
		}
		if err := n.Ready(tr.ctx()); err != nil {
			t.Fatal(err)
		}
		tr.exchange(tr.nodes...)
		tr.registry.Close()
	})
}

// A registry that gives lives without regard to those that it was told of is asked for no
// more of them: that would go on for ever.
func TestARegistryThatGivesSmallLivesIsNotAsked(t *testing.T) {
	timed(t, 0, six, func(t *testing.T, tr *testRing, net *MemoryNetwork) {
		n := tr.nodes[0]
		n.end(n.inc.Load(), ErrEvicted)
		self := n.inc.Load().self
		if err := n.begin(self, self.Life); err != nil {
			t.Fatal(err)
		}
		if n.inc.Load().refusedFor(self.Life + 1) {
			t.Error("another life is to begin")
		}
	})
}

// A sink that always remembers a later life, or says so, makes a node begin lives more and
// more seldom.
func TestRenewalsAreRare(t *testing.T) {
	var r renewal
	now := time.Now()
	begun := 0
	for range 24 * 60 * 60 { // a day, asked once a second
		now = now.Add(time.Second)
		if r.due(now) {
			r.begin(now, lease)
			begun++
		}
	}
	if most := 24*60/5 + 10; begun > most {
		t.Errorf("%d lives in a day, more than %d", begun, most)
	}
	now = now.Add(time.Hour)
	r.begin(now, lease)
	if r.rest != lease {
		t.Errorf("after an hour of peace the rest is %v", r.rest)
	}
}

// No node can use up the lives there are.
func TestLivesBeyondAllSense(t *testing.T) {
	var n Node
	n.meet(3)
	n.meet(1 << 63)
	n.meet(2)
	if n.met.Load() != 3 {
		t.Errorf("the greatest life met is %d", n.met.Load())
	}
}
