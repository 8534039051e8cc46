package plane

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

const testPause = 5 * time.Second

// A process that was suspended for too long calls no handler and sends nothing before it is told
// that it is still a member.
func TestFence(t *testing.T) {
	for _, first := range []string{"worker", "owner"} {
		t.Run(first, func(t *testing.T) {
			got := 0
			withRig(t, func(t *testing.T, r *rig) {
				routed(r)
				got = 0
				cast := wire.Frame(wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 5}, nil))
				alive := func(want bool) {
					t.Helper()
					if r.p.Running() != want {
						t.Fatalf("alive: %v", !want)
					}
				}
				for range 10 {
					time.Sleep(testPause)
					alive(true)
				}
				r.feed(cast, data(40, 1))
				r.arrived(30, 1)
				if got != 1 {
					t.Fatal(got, "handled")
				}
				time.Sleep(testPause + 1)
				if first == "worker" {
					r.feed(cast)
					if got != 1 {
						t.Error("a handler was called")
					}
					alive(false)
				} else {
					alive(false)
					r.feed(cast)
				}
				for range 3 { // no sign of life, however often it asks
					alive(false)
				}
				before := r.p.Counters().Dropped.LinkDown
				r.feed(cast, data(40, 2))
				if w, err := r.p.towards(40); w.Link != nil || err != nil || r.p.emit(40, data(40, 3)) != nil {
					t.Error(w.Link, err)
				}
				if w, err := r.p.towards(20); w.Link != nil || err != nil || r.p.emit(20, data(20, 3)) != nil {
					t.Error(w.Link, err)
				}
				r.arrived(30)
				if n := r.p.Counters().Dropped.LinkDown - before; n != 3 || got != 1 {
					t.Error(n, "dropped,", got, "handled")
				}
				r.p.LowerFence()
				synctest.Wait()
				if got != 3 {
					t.Error(got, "handled")
				}
				alive(true)
				r.feed(data(40, 4))
				r.arrived(30, 4)
				r.p.LowerFence() // nothing to do
				alive(true)
			}, func(c *Config) {
				c.MaxSuspension = testPause
				c.Deliver = func(context.Context, *Delivery) { got++ }
			})
		})
	}
}

// A worker that waits at the fence ends when the plane closes, and calls no handler.
func TestCloseAtTheFence(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		time.Sleep(testPause + 1)
		r.feed(wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 5}, nil))
		r.p.Close(errBroken)
	}, func(c *Config) {
		c.MaxSuspension = testPause
		c.Deliver = func(context.Context, *Delivery) { t.Error("a handler was called") }
	})
}

// Frames that are queued when a link breaks stay behind the fence as well.
func TestFenceStopsRequeuing(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		r.link(30)
		l := r.jam(40)
		r.feed(data(50, 1))
		time.Sleep(testPause + 1)
		if r.p.Running() {
			t.Fatal("alive")
		}
		l.Fail(errBroken)
		r.arrived(30)
		r.dropped(status.Dropped{LinkDown: 1})
	}, func(c *Config) { c.MaxSuspension = testPause })
}

// The fence looks at the wall clock too, which goes on while a machine is suspended.
func TestFenceAfterSuspension(t *testing.T) {
	got := 0
	var shift time.Duration
	withRig(t, func(t *testing.T, r *rig) {
		cast := wire.Frame(wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 5}, nil))
		r.feed(cast)
		shift = testPause + 1
		if r.feed(cast); got != 1 {
			t.Error(got, "handled, want 1")
		}
		if r.p.Running() {
			t.Error("the fence is down")
		}
		r.p.LowerFence()
		if synctest.Wait(); got != 2 {
			t.Error(got, "handled, want 2")
		}
	}, func(cfg *Config) {
		cfg.MaxSuspension = testPause
		cfg.Deliver = func(context.Context, *Delivery) { got++ }
		cfg.Wall = func() time.Time { return time.Now().Add(shift) }
	})
}
