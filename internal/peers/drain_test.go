package peers

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// A drain waits until peers have stopped sending, on a connection of either side. Then it ends
// when they have closed it, and nothing is lost.
func TestDrain(t *testing.T) {
	for name, dialled := range map[string]bool{"dialled": true, "accepted": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				if dialled {
					c.dial(c.a, c.b)
					c.b.AwaitLink(t.Context(), 10, 100)
				} else {
					c.dial(c.b, c.a)
					c.a.AwaitLink(t.Context(), 20, 101)
				}
				ended := make(chan error, 1)
				go func() { ended <- c.a.AwaitPeersEnded(t.Context()) }()
				time.Sleep(time.Hour)
				select {
				case err := <-ended:
					t.Fatal("it did not wait for its peer:", err)
				default:
				}
				c.b.Cast(t.Context(), 10, 0, nil)
				c.b.SetRoutes(table(c.b, 2)) // without this node
				if err := <-ended; err != nil || c.a.delivered.Load() != 1 {
					t.Error(err, c.a.delivered.Load())
				}
				c.a.Cast(t.Context(), 20, 0, nil)
				if err := c.a.Retire(t.Context()); err != nil || c.a.HasLink(20, 101) || c.a.peers() != 0 {
					t.Errorf("%v, [%s]", err, states(c.a))
				}
				synctest.Wait()
				if c.b.delivered.Load() != 1 {
					t.Error("the last frame is lost")
				}
				c.quiet()
			})
		})
	}
}

// A peer that reads nothing holds up Retire no longer than ctx; one that does not close, no longer
// than RetireTimeout.
func TestRetireIsBounded(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		near, far := memnet.Pipe()
		r.p.AddLink(30, 1, near)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.p.Retire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		start := time.Now()
		if err := r.p.Retire(t.Context()); err != nil || time.Since(start) > RetireTimeout {
			t.Error(err, time.Since(start))
		}
		far.Close()
	})
}

// A link that a later one replaces ends: it writes what it holds, and End, and the connection
// closes.
func TestReplacedLinkEnds(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(table(r.p, 1, 30))
		near, far := memnet.Pipe()
		r.p.AddLink(30, 1, near)
		r.feed(data(30, 1))
		r.link(30)
		time.Sleep(RetireTimeout)
		got, err := io.ReadAll(far)
		synctest.Wait() // the reader removes the connection after its peer has seen it close
		want := append(data(30, 1), connFrame(wire.End, 0)...)
		wire.Frame(want).SetHops(wire.Frame(got).Hops())
		if string(got) != string(want) || err != nil || r.p.peers() != 2 {
			t.Errorf("%x, %v, %d connections", got, err, r.p.peers())
		}
		r.feed(data(30, 2))
		r.arrived(30, 2)
	})
}

// A drain does not wait for a peer that goes on sending on a connection on which this node sent End,
// however long ago.
func TestDrainAfterAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		c.dial(c.a, c.b)
		c.b.AwaitLink(t.Context(), 10, 100)
		c.b.SetRoutes(table(c.b, 2)) // b sends no more, and a does
		time.Sleep(time.Hour)
		if !c.a.HasLink(20, 101) {
			t.Error("the end of one direction is that of the other")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*RetireTimeout)
		defer cancel()
		for start := time.Now(); ; { // as package plane does
			look, done := context.WithTimeout(ctx, time.Second)
			err := c.b.AwaitPeersEnded(look)
			done()
			if took := time.Since(start); err == nil && took == RetireTimeout {
				return
			} else if err == nil || took > RetireTimeout {
				t.Fatal(err, took)
			}
		}
	})
}
