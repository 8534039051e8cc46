package plane

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// A source's bundles are led around, and what is kept of them has no mark.
func TestDetoursOfBundles(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(60)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 60}, Authoritative: true, Successor: 30, Detours: map[uint64]uint64{50: 60}})
		o := r.openBundles(50, 5)
		before := r.p.Counters().Detoured
		o.mu.Lock() // so that the link cannot pull
		for i := range 6 {
			o.admit(0, bytes.Repeat([]byte{byte(i)}, 1000)) // too much to be copied
		}
		o.mu.Unlock()
		synctest.Wait()
		r.mu.Lock()
		got := r.got[60]
		r.mu.Unlock()
		shared := 0
		for _, f := range got {
			if !f.Detour() {
				t.Error("it left without a mark")
			}
			shared = max(shared, f.Messages())
		}
		if n := r.p.Counters().Detoured - before; n != 6 || shared < 2 {
			t.Errorf("%d led around, want 6; at most %d in a frame", n, shared)
		}
		r.mu.Lock()
		clear(r.got)
		r.mu.Unlock()
		r.p.SetRoutes(Routes{Epoch: 2, Entries: []uint64{30, 40, 60}, Authoritative: true, Successor: 30})
		r.link(40)
		r.p.askAll()
		f := r.arrived(40, 1007)[0]
		round, _ := wire.ParseRound(f.Body())
		r.feed(ackOf(50, 1001, 0, round))
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, f := range r.got[40] {
			if f.Detour() {
				t.Error("sent again the straight way, with a mark")
			}
		}
	})
}

// All accounts know how little a message takes that joins a bundle.
func TestAccountsOfBundles(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(40)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		o := r.openBundles(50, 5)
		l := r.jam(40)
		joined := 0
		for range 600 {
			o.mu.Lock()
			had := o.bytes
			o.mu.Unlock()
			r.send(50, 1)
			o.mu.Lock()
			if o.bytes == had+3 {
				joined++
			}
			bytes, stored := int64(o.s.Bytes()), r.p.stored.Load()
			waits, claimed := int64(o.size()), l.Reserved()
			if stored < bytes || claimed < waits {
				t.Errorf("%d bytes are kept and %d counted, %d wait and %d are counted", bytes, stored, waits, claimed)
			}
			if o.bytes != o.s.Bytes() || stored > bytes+bytes/2+minCharge {
				t.Errorf("%d and %d bytes are counted of %d", o.bytes, stored, bytes)
			}
			o.mu.Unlock()
		}
		if joined < 400 {
			t.Errorf("%d of 600 messages joined a bundle", joined)
		}
	})
}

// minCharge is more than one message charges.
const minCharge = 100

// A source's messages that wait for their link leave in one bundle, also by another way, and count as many.
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
		o.mu.Lock() // so that the link cannot pull
		for i := range 10 {
			o.admit(0, []byte{byte(i)})
		}
		o.mu.Unlock()
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

// A stream of short messages has more of them pending than have room in the send buffer with a frame for
// each. Their bodies are told nevertheless, by the callback or by Flush, if no others wait.
func TestUndeliveredOfManyShortMessages(t *testing.T) {
	for _, byCallback := range []bool{false, true} {
		var called []Undelivered
		withRig(t, func(t *testing.T, r *rig) {
			n := r.loseShortOnes(50)
			if n*(wire.HeaderSize+1) <= r.p.SendBuffer {
				t.Fatalf("%d messages have room with a frame for each", n)
			}
			if byCallback {
				synctest.Wait()
			}
			other := r.loseShortOnes(60)
			synctest.Wait()
			failed, err := r.p.Flush(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			told := append(called, failed...)
			slices.SortFunc(told, func(a, b Undelivered) int { return int(a.Sink) - int(b.Sink) })
			if len(told) != 2 || len(told[0].Bodies) != n || told[1].Messages != uint64(other) || (len(told[1].Bodies) == other) != byCallback {
				t.Fatalf("%d streams, want two with %d and %d messages", len(told), n, other)
			}
			for i, b := range told[0].Bodies {
				if string(b) != "\x00" {
					t.Fatalf("message %d is %x", i, b)
				}
			}
			if u := r.p.Counters().Unlisted; u > int64(other) {
				t.Errorf("%d are not listed", u)
			}
		}, func(c *Config) {
			c.SendBuffer, c.LinkLow = 40<<10, 1<<20
			if byCallback {
				c.Services = telling(func(u Undelivered) { called = append(called, u) })
			}
		})
	}
}

// loseShortOnes ends a stream with as many messages of one byte pending as it may have.
func (r *rig) loseShortOnes(sink uint64) (n int) {
	r.t.Helper()
	r.link(40)
	r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
	o := r.openBundles(sink, 5)
	r.feed(ackOf(sink, 1001, 0, 0))
	l := r.jam(40)
	for room := true; room; n++ {
		r.send(sink, 1)
		o.mu.Lock()
		room = o.s.Room(1) && o.bytes+1 <= r.p.SendBuffer/4
		o.mu.Unlock()
	}
	r.link(40)
	l.Fail(errBroken)
	r.p.Evict(sink, 5)
	return n
}
