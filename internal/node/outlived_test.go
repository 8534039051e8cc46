package node_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// behind sets a registry's clock back.
func behind(d time.Duration) ringdht.RegistryOption {
	return ringtest.WithRegistryConfig(func(c *registry.Config) { c.TimeOfDay = func() time.Time { return time.Now().Add(-d) } })
}

// outlast is a ring in which node 7, the host n3, sends to all others, and dies with its
// registry. Of the others only node 10 has ever sent to it, so only that one forgets it when
// the next registry does not list it.
func outlast(t *testing.T, test func(t *testing.T, tr *ringtest.Ring, net *memnet.Network, first uint64)) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
		for _, id := range []ringdht.ID{10, 20, 30, 7} {
			tr.Join(nil, ringdht.WithID(id), ringdht.WithTraffic())
		}
		tr.Setup(0)
		d := tr.Nodes[3]
		for i, n := range tr.Nodes[:3] {
			deliver(tr, d, n)
			if i == 0 {
				deliver(tr, n, d)
			}
		}
		net.Cut("registry", "") // so the registry does not say that it is gone
		d.Close()
		tr.Remove(d)
		tr.Registry.Close()
		net.Mend("registry", "n3")
		test(t, tr, net, d.Incarnation())
		tr.Close()
	})
}

// untilDone does again what may have to wait for another incarnation.
func untilDone(t testing.TB, ctx context.Context, what string, do func() error) {
	t.Helper()
	for err := do(); err != nil; err = do() {
		if handshake.Sleep(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// deliver sends from one node to another, again if the incarnation of the source ends.
func deliver(tr *ringtest.Ring, from, to *ringtest.Node) {
	tr.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*ringtest.Lease)
	defer cancel()
	untilDone(tr.T, ctx, "delivery", func() error {
		if err := from.Ready(ctx); err != nil {
			return err
		}
		if err := from.Send(ctx, to.ID(), []byte("x")); err != nil {
			return err
		}
		return from.Flush(ctx, to.ID())
	})
}

// A registry whose clock is behind gives incarnations that are greater than each of which a
// member tells it.
func TestIncarnationsGrowThoughTheClockIsBehind(t *testing.T) {
	outlast(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network, first uint64) {
		net.Heal()
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), behind(time.Hour))
		for _, n := range tr.Nodes {
			if err := n.WaitConnected(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
		}
		d := tr.Join(nil, ringdht.WithID(7), ringdht.WithTraffic())
		second := d.Incarnation()
		if second <= first {
			t.Errorf("incarnation %d after incarnation %d", second, first)
		}
		for _, n := range tr.Nodes[:3] {
			deliver(tr, d, n)
			deliver(tr, n, d)
		}
		if d.Incarnation() != second || d.ID() != 7 {
			t.Errorf("node %d has incarnation %d, had incarnation %d", d.ID(), d.Incarnation(), second)
		}
	})
}

// Those who remember an earlier incarnation come back after a smaller one was given. They refuse
// its streams, and it gets another one at once, under the same ID.
func TestSmallIncarnationIsReplaced(t *testing.T) {
	outlast(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network, first uint64) {
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), behind(time.Hour))
		d := tr.Join(nil, ringdht.WithID(7), ringdht.WithTraffic())
		if d.Incarnation() >= first {
			t.Fatalf("incarnation %d after incarnation %d: this test shows nothing", d.Incarnation(), first)
		}
		net.Heal()
		tr.WaitSettled()
		for len(tr.Registry.Members()) < 4 {
			time.Sleep(ringtest.Lease / 10)
		}
		tr.WaitSettled()
		start := time.Now()
		for _, n := range tr.Nodes[:3] {
			deliver(tr, d, n)
			deliver(tr, n, d)
		}
		ringtest.CheckElapsed(t, "getting another incarnation", start, 2*ringtest.Lease)
		if d.Incarnation() <= first || d.ID() != 7 {
			t.Errorf("node %d has incarnation %d after incarnation %d", d.ID(), d.Incarnation(), first)
		}
		tr.WaitSettled()
		tr.Run(status.Traffic{Messages: 100})
	})
}

// What was accepted before it was known that the incarnation is too small is told.
func TestWhatASmallIncarnationHadAcceptedIsTold(t *testing.T) {
	outlast(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network, first uint64) {
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), behind(time.Hour))
		told := make(chan status.Undelivered, 10)
		d := tr.Join(nil, ringdht.WithID(7), ringdht.WithTraffic(), ringtest.WithUndelivered(func(u status.Undelivered) { told <- u }))
		net.Heal()
		for len(tr.Registry.Members()) < 4 {
			time.Sleep(ringtest.Lease / 10)
		}
		tr.WaitSettled()
		if err := d.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		if err := d.Send(tr.Ctx(), 20, []byte("accepted")); err != nil { // while its stream opens
			t.Fatal(err)
		}
		if u := <-told; u.Sink != 20 || u.Messages != 1 || len(u.Bodies) != 1 || !errors.Is(u.Err, ringdht.ErrEvicted) {
			t.Errorf("told %+v", u)
		}
		deliver(tr, d, tr.Nodes[0])
	})
}

// A node that is leaving begins no other incarnation for a sink's sake: its stream ends with the
// reason.
func TestSmallIncarnationLeaves(t *testing.T) {
	outlast(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network, first uint64) {
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), behind(time.Hour))
		d := tr.Join(nil, ringdht.WithID(7), ringdht.WithTraffic())
		net.Heal()
		for len(tr.Registry.Members()) < 4 {
			time.Sleep(ringtest.Lease / 10)
		}
		tr.WaitSettled()
		if err := d.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		net.Delay("n1", "", ringtest.Lease/10, 0) // the answer comes when it is leaving
		if err := d.Send(tr.Ctx(), 20, []byte("accepted")); err != nil {
			t.Fatal(err)
		}
		start, inc := time.Now(), d.Incarnation()
		err := d.Leave(tr.Ctx())
		var lost *status.UndeliveredError
		if !errors.As(err, &lost) || len(lost.Streams) != 1 || !errors.Is(lost.Streams[0].Err, stream.ErrStaleIncarnation) || errors.Is(err, ringdht.ErrEvicted) {
			t.Errorf("leaving: %v", err)
		}
		ringtest.CheckElapsed(t, "leaving", start, 2*ringtest.Lease)
		if d.Incarnation() != inc {
			t.Error("it has begun another incarnation to leave it")
		}
		tr.Remove(d)
	})
}

// A sink's word has the node begin an incarnation that is later than the one named, once, and not
// again before it has rested; and it believes no word that makes no sense.
func TestSinksWordEndsAnIncarnationOnce(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		n := tr.Nodes[0]
		inc := ringtest.NodeOf(n).Present()
		if inc.OnLaterIncarnation(control.MaxIncarnation + 1) {
			t.Error("an incarnation beyond all sense was believed")
		}
		next := func(later uint64) (took time.Duration) {
			t.Helper()
			before, start := ringtest.NodeOf(n).Present(), time.Now()
			for ringtest.NodeOf(n).Present() == before {
				if !before.OnLaterIncarnation(later) {
					t.Fatal("no other incarnation is to begin")
				}
				time.Sleep(100 * time.Millisecond) // as often as a stream may ask
			}
			if now := n.Incarnation(); now <= later || n.ID() != 10 || !errors.Is(before.EndedBy(), ringdht.ErrEvicted) {
				t.Errorf("node %d has incarnation %d, later than %d; the one before ended with %v", n.ID(), now, later, before.EndedBy())
			}
			if err := n.Ready(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
			return time.Since(start)
		}
		if d := next(n.Incarnation() + 1<<40); d > ringtest.Lease/2 {
			t.Errorf("another incarnation after %v", d)
		}
		if d := next(n.Incarnation() + 1<<40); d < ringtest.Lease/2 || d > 2*ringtest.Lease {
			t.Errorf("the second one after %v", d)
		}
		if d := next(n.Incarnation() + 1<<40); d < ringtest.Lease || d > 4*ringtest.Lease {
			t.Errorf("the third one after %v", d)
		}
		tr.WaitSettled()
		tr.Exchange(tr.Nodes...)
	})
}

// While there is no registry, or it rebuilds the ring and gives no incarnations, a node goes on with
// the one that it has; then it gets another.
func TestIncarnationEndsOnlyWhenThereIsAnother(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		n := tr.Nodes[0]
		inc, later := n.Incarnation(), n.Incarnation()+1<<40
		goesOn := func(d time.Duration) {
			t.Helper()
			for range 10 {
				ringtest.NodeOf(n).Present().OnLaterIncarnation(later)
				time.Sleep(d / 10)
			}
			if n.Incarnation() != inc {
				t.Fatal("it has given up its incarnation")
			}
			tr.Exchange(tr.Nodes...)
		}
		tr.Registry.Close()
		<-n.Disconnected()
		goesOn(2 * ringtest.Lease)
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease))
		if err := n.WaitConnected(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		goesOn(ringtest.Lease / 2)
		tr.WaitSettled()
		if err := ringtest.NodeOf(n).Await(tr.Ctx(), func() bool { return n.Incarnation() > later }); err != nil {
			t.Fatal(err)
		}
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		tr.Exchange(tr.Nodes...)
		tr.Registry.Close()
	})
}

// A registry that gives incarnations without regard to those that it was told of is asked for no
// more of them: that would go on for ever.
func TestRegistryThatGivesSmallIncarnationsIsNotAsked(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		n := tr.Nodes[0]
		ringtest.NodeOf(n).Present().Evict()
		if err := ringtest.NodeOf(n).Present().BeginAgain(); err != nil {
			t.Fatal(err)
		}
		if ringtest.NodeOf(n).Present().OnLaterIncarnation(n.Incarnation() + 1) {
			t.Error("another incarnation is to begin")
		}
	})
}
