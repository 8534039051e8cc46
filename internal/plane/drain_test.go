package plane

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// A node that leaves waits for its peers, handles and acknowledges what it has, tells its
// sources, and closes its connections when everything is written.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled atomic.Int32 // from two queues: a stream and the casts
		release := make(chan struct{})
		m := newMesh(t, 4, 2, testLimits(), memory, func(node int) Deliver {
			return func(context.Context, *Delivery) {
				if node == 1 {
					<-release
					handled.Add(1)
				}
			}
		})
		defer m.close()
		first, leaver, third := m.planes[0], m.planes[1], m.planes[2]
		for range 5 {
			if err := first.Send(t.Context(), 20, 0, nil); err != nil {
				t.Fatal(err)
			}
		}
		leaver.Cast(t.Context(), 20, 0, nil) // to itself: the loopback is not a peer's link
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- leaver.Drain(t.Context()) }()
		waits := func(what string) {
			t.Helper()
			synctest.Wait()
			select {
			case err := <-drained:
				t.Fatalf("it did not wait for %s: %v", what, err)
			default:
			}
		}
		waits("its peers")
		first.SetRoutes(table(first, 2, 30))
		waits("its other peer")
		m.planes[3].SetRoutes(table(m.planes[3], 2, 10))
		waits("its handlers")
		if _, in := leaver.StreamCount(); in == 0 || !leaver.HasLink(30, third.Incarnation) {
			t.Error("it hung up before its handlers were done")
		}
		close(release)
		if err := <-drained; err != nil {
			t.Fatal(err)
		}
		if w, err := leaver.towards(30); w.Link != nil || err != nil {
			t.Error("there is still a way out:", w.Link, err)
		}
		synctest.Wait()
		if n := handled.Load(); n != 6 {
			t.Error(n, "handled")
		}
		if failed, err := first.Flush(t.Context()); failed != nil || err != nil {
			t.Error(failed, err)
		}
		if out, _ := first.StreamCount(); out != 0 {
			t.Error("the source was not told that its stream ends")
		}
		if leaver.HasLink(30, third.Incarnation) || leaver.peers() != 0 {
			t.Error("links are left")
		}
		select {
		case <-leaver.Broken:
			t.Error("a link that was retired counts as broken")
		default:
		}
		for peer := range third.Conns() {
			if peer.ID == 20 {
				t.Error("its peers still have a connection")
			}
		}
	})
}

// A source that has more to send is told how far its messages came.
func TestDrainTellsSourcesOfTheGap(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		r.link(30)
		r.offer(40, 5, 1, 0, 2)
		r.mu.Lock()
		first := uint64(0)
		for _, f := range r.got[30] {
			if f.Type() == wire.Opened {
				b, _ := wire.ParseOpened(f.Body())
				first = b.First
			}
		}
		delete(r.got, 30)
		r.mu.Unlock()
		r.from.Close()
		synctest.Wait()
		if err := r.p.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f := r.arrived(30, first+1); f[0].Type() != wire.Farewell {
			t.Error(f[0].Type())
		}
		if c := r.p.Counters(); c.ReceiveBuffer != 0 {
			t.Errorf("%d bytes are held", c.ReceiveBuffer)
		}
	})
}

// Nodes that leave at the same time keep their links to each other, and do not wait for them.
func TestDrainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, 4, 2, testLimits(), memory, nil)
		defer m.close()
		start := time.Now()
		drained := make(chan error, len(m.planes))
		for _, p := range m.planes {
			p.StopSending() // else messages that it has accepted might wait for an answer
			go func() { drained <- p.Drain(t.Context()) }()
		}
		for range m.planes {
			if err := <-drained; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took > 3*quietTime {
			t.Errorf("it took %v", took)
		}
	})
}

// Drain ends even if its peers never do.
func TestDrainEnds(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.p.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if !r.p.HasLink(30, 1) {
			t.Error("the link is gone, though its peer is there")
		}
		done := make(chan error)
		go func() { done <- r.p.Drain(t.Context()) }()
		synctest.Wait()
		r.p.Close(net.ErrClosed)
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	withRig(t, func(t *testing.T, r *rig) { // a peer that reads nothing
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		r.jam(30)
		r.from.Close()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.p.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
