package plane

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/wire"
)

// All accounts know each message that was accepted, at once.
func TestAccountsOfMessages(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		o := r.stream()
		l := r.jam(40)
		for range 300 {
			r.send(50, 1)
			o.mu.Lock()
			bytes, stored := o.s.Bytes(), int(r.p.stored.Load())
			waits, claimed := o.size(), int(l.Reserved())
			if o.bytes != bytes || stored < bytes || claimed < waits {
				t.Errorf("%d bytes are kept, %d and %d counted; %d wait and %d are counted", bytes, o.bytes, stored, waits, claimed)
			}
			o.mu.Unlock()
		}
	})
}

// A stream takes no more than its share of the send buffer.
func TestShareOfTheSendBuffer(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		o := r.stream()
		r.jam(40)
		n := 0
		for r.sendFor(50, time.Second) == nil {
			n++
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if share := r.p.SendBuffer / 4; n < 20 || o.bytes < share-100 || o.bytes > share+wire.HeaderSize {
			t.Errorf("%d messages of %d bytes, the share is %d", n, o.bytes, share)
		}
	}, func(c *Config) { c.SendBuffer = 8 << 10 })
}

// A stream that has nothing to send keeps neither a chunk of its store nor a buffer for many frames.
func TestStreamAtRestIsSmall(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(40)
		r.p.SetRoutes(peers.Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		r.p.SetMembers([]uint64{50}, nil, false)
		for range 20 { // they wait for the stream to open
			if err := r.p.Send(t.Context(), 50, 0, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		r.feed(r.opened(50, 5))
		if err := r.p.Send(t.Context(), 50, 0, make([]byte, 10<<10)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // they have left
		o := r.p.findOutbound(50, 0)
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.inStoreFrom != (fifo.Cursor{}) || cap(o.scratch) > maxScratch {
			t.Errorf("it keeps %v, and a buffer of %d bytes", o.inStoreFrom, cap(o.scratch))
		}
	})
}

// A detour marks the frames that leave, not those that are kept for retransmission.
func TestDetourDoesNotMarkTheStore(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(60)
		r.p.SetRoutes(peers.Routes{Epoch: 1, Entries: []uint64{30, 60}, Authoritative: true, Successor: 30, Detours: map[uint64]uint64{50: 60}})
		o := r.open(50, 5)
		synctest.Wait()
		r.mu.Lock()
		clear(r.got)
		r.mu.Unlock()
		const n = 10 << 10
		if err := r.p.Send(t.Context(), 50, 0, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if f := r.arrived(60, 1001)[0]; !f.Detour() {
			t.Error("it left without a mark")
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		var kept fifo.Queue
		o.s.Copy(o.inStoreFrom, wire.HeaderSize+n, &kept)
		if wire.Frame(kept.Front()).Detour() {
			t.Error("what is kept is marked")
		}
		kept.Clear()
	})
}

// A link pulls about as much as it wants to write, even if the frames are in the stream's store
// only.
func TestPullIsLimited(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		o := r.stream()
		l := r.jam(40)
		for range 30 {
			if err := r.p.Send(t.Context(), 50, 0, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		o.mu.Lock()
		size := o.size()
		o.mu.Unlock()
		var q fifo.Queue
		defer q.Clear()
		for more := true; more; {
			before := q.Size()
			more = o.Pull(l.Writer, &q, 5000)
			if n := q.Size() - before; n > 1<<14 {
				t.Errorf("%d bytes at once, 5000 are wanted", n)
			}
		}
		if q.Size() != size {
			t.Errorf("%d bytes of %d", q.Size(), size)
		}
	})
}
