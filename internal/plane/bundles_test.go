package plane

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/stream"
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
	return r.p.findOutbound(sink)
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
		for seq := range uint64(20) {
			r.feed(three(port, 40, 3*seq, 2))
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
		r.dropped(status.Dropped{Stale: 9, Malformed: 1})
		r.took(port, 0, 6)
		r.feed(three(port, 20, first+6, 2), three(port, 20, first+9, 2))
		r.p.Evict(5, 1)
		r.took(port, 0, 12) // nothing will fill the gap
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

// A source's messages that wait for their link leave in one bundle, by whatever way, and count as many.
func TestBundlesOfASource(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(40)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		r.openBundles(50, 5)
		r.link(30)
		l := r.jam(40)
		r.send(50, 20)
		synctest.Wait()
		if c := r.p.Counters(); c.Queued > 20*wire.HeaderSize || c.Sent != 21 {
			t.Errorf("%+v", c)
		}
		l.Fail(errBroken)
		if f := r.arrived(30, 1001)[0]; f.Messages() != 20 {
			t.Errorf("%d messages in %x", f.Messages(), f)
		}
		if c := r.p.Counters(); c.Requeued != 20 || c.Retransmitted != 0 || c.Dropped != (status.Dropped{}) || c.Queued != 0 {
			t.Errorf("%+v", c)
		}
		r.send(50, 1) // none joins what has left
		if f := r.arrived(30, 1021)[0]; f.Messages() != 1 {
			t.Errorf("%d messages in %x", f.Messages(), f)
		}
		r.feed(ackOf(50, 1005, 16, 0)) // of the bundle, four were handled and all received: the last is missing
		r.p.askAll()
		f := r.arrived(30, 1022)[0]
		round, _ := wire.ParseRound(f.Body())
		r.feed(ackOf(50, 1005, 16, round))
		r.arrived(30, 1021, 1022)
		if n := r.p.Counters().Retransmitted; n != 1 {
			t.Errorf("%d sent again, want 1", n)
		}
		r.feed(ackOf(50, 1022, 0, round+1))
		if c := r.p.Counters(); c.SendBuffer != 0 || r.p.stored.Load() != 0 {
			t.Errorf("%d bytes are kept", c.SendBuffer)
		}
	})
	withRig(t, func(t *testing.T, r *rig) { // a bundle that is lost is sent again, and counts as many
		r.link(40)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		o := r.openBundles(50, 5)
		o.lock() // so that the link cannot pull
		for i := range 10 {
			o.admit(0, []byte{byte(i)})
		}
		o.unlock()
		first := r.arrived(40, 1001)[0]
		r.p.askAll()
		f := r.arrived(40, 1011)[0]
		round, _ := wire.ParseRound(f.Body())
		r.feed(ackOf(50, 1001, 0, round))
		if again := r.arrived(40, 1001, 1011)[0]; !bytes.Equal(again, first) || first.Messages() != 10 {
			t.Errorf("sent again as %x, first as %x", again, first)
		}
		if n := r.p.Counters().Retransmitted; n != 10 {
			t.Errorf("%d sent again, want 10", n)
		}
	})
}

// ackOf is an acknowledgement with a count of what was received beyond what was delivered.
func ackOf(sink, delivered uint64, received, round uint32) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Ack, Dst: 20, Src: sink, Seq: delivered}, wire.AckBody{Received: received, Window: 1 << 16, Round: round}.Append(nil, nil))
}

// What waits when the fence is up, or when no link is left, counts by message, and is sent again.
func TestDroppedBundlesOfASource(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(40)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		r.openBundles(50, 5)
		l := r.jam(40)
		r.send(50, 7)
		l.Fail(errBroken)
		synctest.Wait()
		if n := r.p.Counters().Dropped.LinkDown; n != 7 {
			t.Errorf("%d lost with the link, want 7", n)
		}
		r.send(50, 1)
		if n := r.p.Counters().Dropped.LinkDown; n != 8 {
			t.Errorf("%d lost, want 8", n)
		}
		r.link(40)
		time.Sleep(stream.MaxRTO)
		synctest.Wait()
		r.mu.Lock()
		f := r.got[40][0]
		r.mu.Unlock()
		round, _ := wire.ParseRound(f.Body())
		clear(r.got)
		r.feed(ackOf(50, 1001, 0, round))
		if got := bodiesOf(r.arrived(40, 1001, 1008, 1009)[:2]); len(got) != 8 || got[6] != "\x06" || got[7] != "\x00" {
			t.Errorf("sent again: %q", got)
		}
	})
}

// Messages on either side of 1 KiB share frames or do not. No frame is longer than the ring's longest
// message allows.
func TestSizesOfBundles(t *testing.T) {
	for _, most := range []int{10, 100, 1500, 64 << 10} {
		withRig(t, func(t *testing.T, r *rig) {
			r.link(40)
			r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
			r.openBundles(50, 5)
			r.link(30)
			l := r.jam(40)
			var want []string
			for _, size := range []int{6, 0, 0, 0, 8, 9, 90, 3, 3, 100, wire.MaxBundled, 3, wire.MaxBundled + 1, 3, 3, 1400, 1500, 3, 3} {
				body := bytes.Repeat([]byte{byte(size)}, min(size, most))
				want = append(want, string(body))
				if err := r.p.Send(t.Context(), 50, 0, body); err != nil {
					t.Fatal(err)
				}
			}
			l.Fail(errBroken)
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			got := bodiesOf(r.got[30])
			for i := range want {
				if len(got) != len(want) || got[i] != want[i] {
					t.Fatalf("message %d of %d is not the one sent", i, len(got))
				}
			}
			shared := 0
			for _, f := range r.got[30] {
				if len(f) > wire.HeaderSize+most {
					t.Errorf("a frame of %d bytes, where messages have %d at most", len(f), most)
				}
				for m := wire.Walk(f); m.Next() && f.Messages() > 1; shared++ {
					if len(m.Body) > wire.MaxBundled {
						t.Errorf("a message of %d bytes shares a frame", len(m.Body))
					}
				}
			}
			if shared < 2 {
				t.Errorf("%d messages share frames where %d bytes are allowed", shared, most)
			}
		}, func(c *Config) { c.MaxPayload = most })
	}
}

// At the end of a stream with part of a bundle acknowledged, each message is told with its fate.
func TestUndeliveredWithinABundle(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(40)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		send := func() {
			l := r.jam(40)
			for _, body := range []string{"a", "b", "", "d"} {
				if err := r.p.Send(t.Context(), 50, 0, []byte(body)); err != nil {
					t.Fatal(err)
				}
			}
			r.link(40)
			l.Fail(errBroken)
			r.arrived(40, 1001)
		}
		r.openBundles(50, 5)
		send()
		r.feed(ackOf(50, 1003, 2, 0)) // "a" and "b" were handled
		r.p.Evict(50, 5)
		failed, err := r.p.Flush(t.Context())
		wantLost(t, failed, "50: 2 ,d")
		if err != nil || failed[0].NotHandled != 0 || failed[0].Err != stream.ErrGone {
			t.Error(failed[0].NotHandled, failed[0].Err, err)
		}
		r.openBundles(50, 6)
		send()
		r.feed(ackOf(50, 1002, 3, 0))
		r.feed(wire.Append(nil, wire.Header{Type: wire.Farewell, Dst: 20, Src: 50, Seq: 1005}, nil))
		if failed, err := r.p.Flush(t.Context()); err != nil || failed != nil {
			t.Error("all was handled:", failed, err)
		}
		r.p.SetMembers(nil, []uint64{50}, false)
		if c := r.p.Counters(); c.SendBuffer != 0 || r.p.stored.Load() != 0 || c.Sent != 10 {
			t.Errorf("%d bytes are kept, %d were sent", c.SendBuffer, c.Sent)
		}
	})
}
