package plane

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// maxOwed is that of [link.Throttle].
const maxOwed = 64

// cast is a message from 5 without a stream, in a frame of 1 KiB.
func cast(dst, seq uint64) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Cast, Dst: dst, Src: 5, Seq: seq}, make([]byte, 1024-wire.HeaderSize))
}

// tight makes queues small.
func tight(c *Config) {
	c.LinkQueue, c.LinkLow, c.ReceiveBuffer = 1<<20, 32<<10, 4<<20
}

// A link that writes as soon as it gets the time to is given that time, and nothing is lost.
func TestALinkIsGivenTime(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		near, far := memnet.Pipe()
		defer far.Close()
		r.p.AddLink(40, 1, near)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		const frames = 20_000
		go func() {
			for range frames {
				r.from.Write(cast(40, 0))
			}
		}()
		b := make([]byte, 128<<10)
		for read := 0; read < frames<<10 && !t.Failed(); time.Sleep(link.Pause) {
			synctest.Wait()
			r.dropped(status.Dropped{})
			n, err := far.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			read += n
		}
	}, tight)
}

// TestAFullLinkIsOfferedABatchOnce: however frames for a full link and for another one
// alternate, the full one is charged for the bytes that were for it, and for each once.
func TestAFullLinkIsOfferedABatchOnce(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		r.link(30)
		l := r.jam(40)
		for full := false; !full; {
			_, err := l.Append(cast(40, 0))
			full = err != nil
		}
		const frames = 40 // for each, of 1 KiB: more than a quantum, less than two
		var all []wire.Frame
		for range frames {
			all = append(all, cast(30, 0), cast(40, 0))
		}
		r.batch(all...)
		r.arrived(30, make([]uint64, frames)...)
		r.dropped(status.Dropped{QueueFull: frames})
		granted := 0
		for sent, _ := l.Stats(); l.Throttle.Allow(sent); granted++ {
		}
		if granted != maxOwed-1 {
			t.Errorf("%d pauses were charged for %d KiB, want 1", maxOwed-granted, frames)
		}
	}, tight)
}

// The same for the inbox of casts.
func TestTheHandlerOfCastsIsGivenTime(t *testing.T) {
	const frames = 20_000
	handled := 0
	withRig(t, func(t *testing.T, r *rig) {
		for range frames {
			r.from.Write(cast(20, 0))
		}
		for r.p.Counters().Delivered < frames && !t.Failed() {
			time.Sleep(link.Pause)
			r.dropped(status.Dropped{})
		}
	}, tight, func(c *Config) {
		c.Deliver = func(context.Context, *Delivery) {
			if handled++; handled%200 == 0 {
				time.Sleep(link.Pause)
			}
		}
	})
}

// A stuck link delays other frames of the same connection no longer than maxOwed pauses.
func TestAStuckLinkHoldsUpNobodyForLong(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(30)
		r.jam(40)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		begun := time.Now()
		const frames = 10_000 // three times as many as the pauses are good for
		for range frames {
			r.from.Write(cast(40, 0))
		}
		r.from.Write(data(30, 7))
		for {
			synctest.Wait()
			r.mu.Lock()
			n := len(r.got[30])
			r.mu.Unlock()
			if n > 0 {
				break
			}
			if time.Since(begun) > (maxOwed+1)*link.Pause {
				t.Fatalf("still held up after %v", time.Since(begun))
			}
			time.Sleep(link.Pause)
		}
		r.arrived(30, 7)
	}, tight)
}

// A handler that does not return delays no frames for long, either.
func TestAStuckHandlerOfCastsHoldsUpNobodyForLong(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(30)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		begun := time.Now()
		for range 10_000 {
			r.from.Write(cast(20, 0))
		}
		r.from.Write(data(30, 7))
		if took := time.Since(begun); took > (maxOwed+1)*link.Pause {
			t.Errorf("held up for %v", took)
		}
		time.Sleep((maxOwed + 1) * link.Pause)
		r.arrived(30, 7)
	}, tight, func(c *Config) {
		c.Deliver = func(ctx context.Context, _ *Delivery) { <-ctx.Done() }
	})
}
