package plane

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// bundle puts messages into one frame.
func bundle(h wire.Header, bodies ...string) wire.Frame {
	h.Type = wire.Data
	f := wire.Append(nil, h, []byte(bodies[0]))
	for i, body := range bodies[1:] {
		f = append(f, make([]byte, wire.Bundling(i+1, len(body)))...)
		wire.Bundle(f, i+1, []byte(body))
	}
	return f
}

// three is a bundle from 5, of a run, that has crossed so many links.
func three(port uint8, dst, seq uint64, hops uint16) wire.Frame {
	return bundle(wire.Header{Port: port, Dst: dst, Src: 5, Seq: seq, Hops: hops}, "a", "", "b")
}

// openBundles is open for a sink that takes bundles.
func (r *rig) openBundles(sink, inc uint64) *outbound {
	r.t.Helper()
	r.p.SetMembers([]uint64{sink}, nil, false)
	if err := r.p.Send(r.t.Context(), sink, 0, []byte("pending")); err != nil {
		r.t.Fatal(err)
	}
	f := r.opened(sink, inc)
	f.SetBundle()
	r.feed(f)
	synctest.Wait()
	r.mu.Lock()
	clear(r.got)
	r.mu.Unlock()
	return r.p.findOutbound(sink, 0)
}

// offered opens a stream from 5 and returns its first number.
func (r *rig) offered() uint64 {
	r.t.Helper()
	r.offer(5, 1, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.got[30]
	opened := all[len(all)-1]
	b, err := wire.ParseOpened(opened.Body())
	if err != nil || !opened.Bundles() {
		r.t.Fatal("a sink grants bundles:", err, opened.Bundles())
	}
	clear(r.got)
	return b.First
}

// bodiesOf lists the messages of frames.
func bodiesOf(all []wire.Frame) (s []string) {
	for _, f := range all {
		for m := wire.Walk(f); m.Next(); {
			s = append(s, string(m.Body))
		}
	}
	return s
}

// A relay changes the hop count of a bundle and nothing else, and counts its messages.
func TestRelayedBundles(t *testing.T) {
	const port = 130
	withRig(t, func(t *testing.T, r *rig) {
		f := three(port, 40, 1, 4)
		r.feed(f) // no table yet
		r.dropped(status.Dropped{LinkDown: 3})
		r.took(port, 0, 3*4)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		r.link(30)
		r.link(40)
		r.feed(f, ofRun(port, 40, 4, 4), three(port, 40, 5, 4))
		f.SetHops(5)
		if got := r.arrived(40, 1, 4, 5); !bytes.Equal(got[0], f) {
			t.Errorf("passed on as %x, want %x", got[0], f)
		}
		r.took(port, 7, 0)
		if n := r.p.Counters().Relayed; n != 7 {
			t.Errorf("%d relayed, want 7", n)
		}
		r.feed(three(port, 25, 10, 4)) // the ID is not taken; its source is told once
		r.dropped(status.Dropped{LinkDown: 3, NoRoute: 3})
		r.arrived(40, 10)
		r.feed(three(port, 15, 20, 4)) // it has passed its sink
		r.dropped(status.Dropped{LinkDown: 3, NoRoute: 3, Overshoot: 3})
		r.feed(three(port, 40, 30, 999)) // over the limit
		r.dropped(status.Dropped{LinkDown: 3, NoRoute: 3, Overshoot: 3, HopLimit: 3})
		r.took(port, 0, 3*4+3*4+3*999)
	})
	withRig(t, func(t *testing.T, r *rig) { // the queue of a link is full
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		l := r.jam(40)
		for seq := range uint64(10) { // two at once
			r.feed(three(port, 40, 6*seq, 2), three(port, 40, 6*seq+3, 2))
		}
		full := r.p.Counters().Dropped.QueueFull
		if full == 0 || full == 60 || full%3 > 0 {
			t.Fatalf("%d messages were dropped", full)
		}
		r.took(port, 60, 3*full)
		l.Fail(errBroken) // the others waited for it, and there is no other way
		synctest.Wait()
		r.took(port, 0, 3*(60-full))
		if n := r.p.Counters().Dropped.LinkDown; n != 60-full {
			t.Errorf("%d were lost with the link, want %d", n, 60-full)
		}
	}, func(c *Config) { c.LinkQueue = 10 * (wire.HeaderSize + 10) })
}

// Bundles that wait for a link that breaks take another way, and may be led around.
func TestRequeuedBundles(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		r.link(30)
		l := r.jam(40)
		for seq := range uint64(500) {
			r.feed(three(0, 50, 3*seq, 0), data(50, 3000+seq))
		}
		l.Fail(errBroken)
		synctest.Wait()
		if c := r.p.Counters(); c.Requeued != 2000 || c.Relayed != 2000 || c.Dropped != (status.Dropped{}) || c.Queued != 0 {
			t.Errorf("%+v", c)
		}
	})
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 60}, Authoritative: true, Successor: 30, Detours: map[uint64]uint64{30: 60}})
		r.link(60)
		r.feed(three(0, 30, 1, 0), three(0, 30, 4, 0))
		for _, f := range r.arrived(60, 1, 4) {
			if !f.Detour() || f.Messages() != 3 {
				t.Errorf("%x has no mark, or is no bundle", f)
			}
		}
		l := r.jam(60)
		r.feed(three(0, 30, 7, 0))
		r.link(30)
		l.Fail(errBroken)
		if f := r.arrived(30, 7)[0]; f.Detour() || f.Messages() != 3 {
			t.Errorf("%x is still marked, or is no bundle", f)
		}
		if c := r.p.Counters(); c.Requeued != 3 || c.Detoured != 9 {
			t.Errorf("%d requeued, %d detoured", c.Requeued, c.Detoured)
		}
	})
	withRig(t, func(t *testing.T, r *rig) { // the other way is a detour
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 60}, Authoritative: true, Successor: 30, Detours: map[uint64]uint64{30: 60}})
		r.link(60)
		l := r.jam(30)
		r.feed(three(0, 30, 1, 0))
		l.Fail(errBroken)
		if f := r.arrived(60, 1)[0]; !f.Detour() || f.Messages() != 3 {
			t.Errorf("%x has no mark, or is no bundle", f)
		}
		if c := r.p.Counters(); c.Requeued != 3 || c.Detoured != 3 {
			t.Errorf("%d requeued, %d detoured", c.Requeued, c.Detoured)
		}
	})
	withRig(t, func(t *testing.T, r *rig) { // nothing leaves behind the fence
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		r.link(30)
		l := r.jam(40)
		r.feed(three(130, 40, 1, 4))
		time.Sleep(testPause + 1)
		if r.p.Running() {
			t.Fatal("the fence is down")
		}
		l.Fail(errBroken)
		synctest.Wait()
		r.dropped(status.Dropped{LinkDown: 3})
		r.took(130, 3, 3*5)
	}, func(c *Config) { c.MaxSuspension = testPause })
}

// A sink counts the messages of bundles that it drops, and takes none of them.
func TestBundlesAtTheSink(t *testing.T) {
	const port = 130
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.feed(three(port, 20, 77, 3), three(port, 20, 80, 3)) // no stream
		r.dropped(status.Dropped{Stale: 6})
		r.arrived(30, 77) // one Reset
		r.took(port, 0, 18)
		first := r.offered()
		r.feed(three(port, 20, first, 3), three(port, 20, first, 4))
		r.dropped(status.Dropped{Stale: 6})
		r.took(port, 0, 12)
		r.feed(three(port, 20, first+2, 4)) // part of it was taken: no source of this stream sends that
		r.dropped(status.Dropped{Stale: 9})
		r.took(port, 0, 12)
		unsound := three(port, 20, first+3, 3)
		unsound[wire.HeaderSize+1] = 2
		r.feed(unsound)
		r.dropped(status.Dropped{Stale: 9, Malformed: 2}) // as many as it claims
		r.took(port, 0, 6)
		r.feed(three(port, 20, first+6, 2), three(port, 20, first+9, 2))
		r.p.Evict(5, 1)
		r.took(port, 0, 12)                                                             // nothing will fill the gap
		r.feed(bundle(wire.Header{Port: 5, Dst: 20, Src: 5, Seq: first + 3}, "a", "b")) // of another service
		r.dropped(status.Dropped{Stale: 11, Malformed: 2})
		if s := r.p.Status(); s.Duplicates != 3 || s.Delivered != 3 || s.Hops[4] != 3 || s.ReceiveBuffer != 0 {
			t.Errorf("%d duplicates, %d delivered, hops %v, %d bytes are held", s.Duplicates, s.Delivered, s.Hops, s.ReceiveBuffer)
		}
	})
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		first := r.offered()
		r.feed(three(port, 20, first+3, 7)) // no room ahead of a gap
		r.dropped(status.Dropped{InboxFull: 3})
		r.took(port, 0, 21)
		r.feed(bundle(wire.Header{Port: port, Dst: 20, Src: 5, Seq: first, Hops: 2}, "too large for it", "together")) // nor for all of it
		r.dropped(status.Dropped{InboxFull: 5})
		r.feed(three(port, 20, first, 7))
		if n := r.p.Counters().Delivered; n != 3 {
			t.Errorf("%d delivered, want 3", n)
		}
	}, func(c *Config) { c.ReceiveBuffer = 43 })
}

// Messages on either side of 1 KiB share frames or do not. No frame is longer than the ring's longest
