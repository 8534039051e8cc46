package plane

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/wire"
)

// incomingStreams returns how many streams a plane remembers, and how many of them count.
func (r *rig) incomingStreams() (all, counted int) {
	synctest.Wait()
	r.p.mu.RLock()
	defer r.p.mu.RUnlock()
	return r.p.inbounds.n, r.p.inbounds.n - len(r.p.bygone)
}

func (r *rig) wantIncoming(all, counted int) {
	r.t.Helper()
	if a, c := r.incomingStreams(); a != all || c != counted {
		r.t.Fatalf("%d incoming streams, %d of which count; want %d and %d", a, c, all, counted)
	}
	if s := r.p.Status(); s.Incoming != counted {
		r.t.Fatalf("the status says %d", s.Incoming)
	}
}

// The stream from a node that has left does not count any more, and is forgotten after two sweeps
// without a frame. A late message is still handled.
func TestLeft(t *testing.T) {
	var got []byte
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.offer(40, 5, 1, 0, 1)
		r.offer(50, 5, 1, 0)
		window := r.p.window(&r.p.services[0])
		r.wantIncoming(2, 2)
		r.p.Left(40, 4) // an earlier incarnation
		r.p.Left(60, 9) // there is no stream from it
		r.wantIncoming(2, 2)
		r.p.Left(40, 5)
		r.p.Left(40, 5)
		r.wantIncoming(2, 1)
		if r.p.window(&r.p.services[0]) != 2*window {
			t.Errorf("a window of %d bytes, it was %d for two", r.p.window(&r.p.services[0]), window)
		}
		r.p.Sweep(false)
		r.wantIncoming(2, 1)
		r.offer(40, 5, 1, 2) // was on its way
		r.p.Sweep(false)
		r.wantIncoming(2, 1)
		r.p.Sweep(false)
		r.wantIncoming(1, 1)
		for range 4 {
			r.p.Sweep(false)
		}
		r.wantIncoming(1, 1) // the other one
		if string(got) != "\x00\x01\x00\x02" {
			t.Errorf("handled %v", got)
		}
	}, func(c *Config) {
		c.ReceiveBuffer = 16 << 10
		c.Deliver = func(_ context.Context, d *Delivery) { got = append(got, d.Body...) }
	})
}

// Messages in order are handled before the stream is forgotten. What waits behind a gap does not
// keep the stream.
func TestLeftWithMessages(t *testing.T) {
	handled := 0
	var release chan struct{}
	withRig(t, func(t *testing.T, r *rig) {
		release = make(chan struct{})
		routed(r)
		r.offer(40, 5, 1, 0, 1, 3)
		r.p.Left(40, 5)
		for range 5 {
			r.p.Sweep(false)
			r.wantIncoming(1, 0)
		}
		close(release)
		synctest.Wait()
		r.p.Sweep(false)
		r.wantIncoming(0, 0)
		if handled != 2 || r.p.Counters().ReceiveBuffer != 0 {
			t.Errorf("%d handled, %d bytes held", handled, r.p.Counters().ReceiveBuffer)
		}
	}, func(c *Config) {
		c.Deliver = func(context.Context, *Delivery) { <-release; handled++ }
	})
}

// A stream whose source has left gives its place to one that needs it, unless a handler still has
// messages of it.
func TestLeftGivesItsPlace(t *testing.T) {
	var release chan struct{}
	withRig(t, func(t *testing.T, r *rig) {
		release = make(chan struct{})
		routed(r)
		r.offer(40, 5, 1, 0)
		r.offer(50, 5, 1)
		refused := func(source uint64) bool {
			t.Helper()
			before := r.p.Counters().Dropped.Refused
			r.feed(wire.Append(nil, wire.Header{Type: wire.Open, Dst: 20, Src: source, Seq: 1}, wire.OpenBody{Incarnation: 5}.Append(nil)))
			synctest.Wait()
			return r.p.Counters().Dropped.Refused > before
		}
		if !refused(60) {
			t.Error("there was room")
		}
		r.p.Left(40, 5)
		if !refused(60) {
			t.Error("a stream with a message that is being handled has given its place")
		}
		r.p.Left(50, 5)
		if refused(60) {
			t.Error("there is no room")
		}
		r.wantIncoming(2, 1)
		close(release)
		if synctest.Wait(); refused(70) {
			t.Error("there is no room when it was handled")
		}
		r.wantIncoming(2, 2)
		if !refused(80) {
			t.Error("members have given their places")
		}
	}, func(c *Config) {
		c.Streams = 2
		c.Deliver = func(context.Context, *Delivery) { <-release }
	})
}

// The next incarnation of a source that has left is a member like any other. So is one that is
// announced after all. An Open that comes late makes no stream that stays.
func TestLeftAndBack(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.offer(40, 5, 1, 0)
		r.p.Left(40, 5)
		r.wantIncoming(1, 0)
		r.offer(40, 5, 2) // the same incarnation again
		r.wantIncoming(1, 0)
		r.offer(40, 6, 1)
		r.wantIncoming(1, 1)
		r.p.Left(40, 5)
		r.wantIncoming(1, 1)
		r.p.Left(40, 6)
		r.p.Renewed(40, 6)
		r.wantIncoming(1, 1)
		for range 3 {
			r.p.Sweep(false)
		}
		r.wantIncoming(1, 1)

		r.offer(90, 3, 1) // an incarnation that has ended, see below
		r.wantIncoming(2, 1)
		r.p.Sweep(false)
		r.p.Sweep(false)
		r.wantIncoming(1, 1)
		r.offer(90, 4, 1)
		r.wantIncoming(2, 2)
	}, func(c *Config) {
		c.HasEnded = func(id, inc uint64) bool { return id == 90 && inc <= 3 }
	})
}

// A new incarnation of an ID ends the streams from all earlier ones, whether or not there is a
// stream to it. Missed ends what was there before it, and no later incarnation.
func TestRenewedAndMissed(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		for _, source := range []uint64{40, 50, 60} {
			r.offer(source, 5, 1)
		}
		r.p.Renewed(40, 5)
		r.p.Renewed(40, 0)
		r.wantIncoming(3, 3)
		r.p.Renewed(40, 6)
		r.wantIncoming(2, 2)
		r.p.Missed(50, 4)
		r.wantIncoming(2, 2)
		r.p.Missed(50, 5)
		r.wantIncoming(2, 1)
		o := r.open(60, 7)
		r.p.Missed(60, 6)
		r.wantIncoming(1, 0) // the incarnation before
		if r.p.findOutbound(60, 0) != o {
			t.Error("the stream to the next incarnation has ended")
		}
	})
}
