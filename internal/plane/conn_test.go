package plane

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// A node that leaves waits for what comes over a connection that it has dialled itself, however
// long that takes. No accepted message is lost.
func TestDrainOfASharedConn(t *testing.T) {
	for name, dialled := range map[string]bool{"dialled": true, "accepted": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				net := memnet.New(1)
				if dialled {
					c.dialAcross(net, c.a, c.b)
					c.b.AwaitLink(t.Context(), 10, 100)
				} else {
					c.dialAcross(net, c.b, c.a)
					c.a.AwaitLink(t.Context(), 20, 101)
				}
				c.exchange(1)
				net.Delay("20", "10", 2*time.Second, 0)
				const n = 50
				for i := range uint64(n) {
					if err := c.b.Send(t.Context(), 10, 0, short(1+i)); err != nil {
						t.Fatal(err)
					}
				}
				drained := make(chan error, 1)
				go func() { drained <- c.a.Drain(t.Context()) }()
				synctest.Wait()
				select {
				case <-drained:
					t.Error("it did not wait for its peer")
				default:
				}
				start := time.Now()
				c.b.SetRoutes(Routes{Epoch: 2, Successor: 10}) // it has removed the node from its table
				if err := <-drained; err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took >= peers.RetireTimeout || c.next[0].Load() != 1+n {
					t.Errorf("%d handled, after %v", c.next[0].Load(), took)
				}
				c.a.Close(errBroken)
				if failed, err := c.b.Flush(t.Context()); failed != nil || err != nil {
					t.Error(len(failed), err)
				}
			})
		})
	}
}

// A peer that does not end its link is waited for, but not for ever.
func TestDrainOfAStuckSharedConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		c.dial(c.a, c.b)
		c.b.AwaitLink(t.Context(), 10, 100)
		c.a.SetRoutes(Routes{Epoch: 2, Successor: 20}) // this direction ended long ago
		time.Sleep(time.Hour)
		start := time.Now()
		if err := c.a.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < peers.RetireTimeout || took > 3*peers.RetireTimeout {
			t.Error("it took", took)
		}
	})
}

// A direction has not ended before what came with the End is taken in.
func TestEndComesLast(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		_, far := memnet.Pipe()
		c := r.p.Accept(far, 30, 1, false, nil)
		in, _ := c.AwaitReader()
		l := r.p.newInLink(c, in, nil)
		cast := wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 30}, nil)
		if _, err := l.dispatch(append(cast, connFrame(wire.End, 0)...)); err != nil {
			t.Fatal(err)
		}
		if !c.Ending() || r.p.Counters().Delivered != 0 {
			t.Error("not heard, or handled at once")
		}
		l.finishBatch()
		l.turns.Leave()
		l.afterBatch()
		synctest.Wait()
		if r.p.Counters().Delivered != 1 {
			t.Error("not handled")
		}
		r.p.readEnded(c, net.ErrClosed, nil)
	})
}

// Both nodes notice when a shared connection breaks. What waits takes another way or is sent
// again.
func TestSharedConnBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		c.dial(c.a, c.b)
		c.b.AwaitLink(t.Context(), 10, 100)
		l := c.a.linkTo(20)
		l.Fail(errBroken)
		synctest.Wait()
		for _, p := range c.planes {
			if p.peers() != 0 {
				t.Errorf("%d has %d connections", p.Self, p.peers())
			}
			select {
			case <-p.Broken:
			default:
				t.Errorf("%d was not told", p.Self)
			}
		}
		go func() {
			time.Sleep(time.Second)
			c.dial(c.b, c.a)
			c.a.AwaitLink(t.Context(), 20, 101)
		}()
		c.exchange(100)
		if !c.shared() {
			t.Error("not one connection")
		}
	})
}

// A frame of a later type is relayed by its destination, and counted and dropped at its sink.
func TestLaterTypesAreRelayed(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(30)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		later := func(dst uint64) wire.Frame {
			return wire.Append(nil, wire.Header{Type: 0x2f, Dst: dst, Src: 10, Seq: 7}, []byte("later"))
		}
		r.from.Write(later(20))
		r.from.Write(later(30))
		want := later(30)
		want.SetHops(1)
		if got := r.arrived(30, 7); string(got[0]) != string(want) {
			t.Errorf("%x, want %x", got, want)
		}
		r.from.Write(later(25)) // there is no such node, and no answer to such a frame
		r.from.Write(connFrame(0x30, 1))
		synctest.Wait()
		if c := r.p.Counters(); c.Dropped.Unknown != 2 || c.Dropped.NoRoute != 1 || c.Dropped.Sum() != 1 || c.FramesIn != 3 {
			t.Errorf("%+v", c)
		}
	})
}
