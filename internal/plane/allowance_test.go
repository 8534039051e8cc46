package plane

import (
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// What goes by an allowance is in all accounts when somebody looks, and before that in
// those that bound it.
func TestAccountsOfAnAllowance(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		o := r.stream()
		l := r.jam(40)
		byAllowance := 0
		for range 300 {
			o.mu.Lock()
			had := o.left
			o.mu.Unlock()
			r.send(50, 1)
			o.mu.Lock()
			if had > 0 && o.left == had-wire.HeaderSize-1 {
				byAllowance++
			}
			bytes, stored := int64(o.s.Bytes()), r.p.stored.Load()
			waits, claimed := int64(o.size()), l.waiting.Load()
			o.mu.Unlock()
			if stored < bytes || claimed < waits {
				t.Fatalf("%d bytes are kept and %d counted, %d wait and %d are counted", bytes, stored, waits, claimed)
			}
		}
		if byAllowance < 200 {
			t.Errorf("%d of 300 messages went by an allowance", byAllowance)
		}
		o.lock()
		defer o.mu.Unlock()
		if o.bytes != o.s.Bytes() || o.granted != 0 || o.left != 0 {
			t.Errorf("%d bytes are counted of %d, %d are allowed", o.bytes, o.s.Bytes(), o.left)
		}
	})
}

// An allowance is no longer than the stream's share of the send buffer.
func TestAllowanceIsWithinTheShare(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		o := r.stream()
		r.jam(40)
		r.send(50, 20)
		o.lock()
		defer o.mu.Unlock()
		o.grant()
		if o.left == 0 {
			t.Fatal("nothing is granted")
		}
		o.p.SendBuffer = 4 * (o.bytes + 50)
		if o.grant(); o.left != 50 {
			t.Errorf("%d bytes are granted, the share has 50 left", o.left)
		}
	})
}

// A detour marks what leaves, and not what is kept to be sent again.
func TestDetourDoesNotMarkTheStore(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(60)
		r.p.Use(Routes{Epoch: 1, Entries: []uint64{30, 60}, Sure: true, Successor: 30, Detours: map[uint64]uint64{50: 60}})
		o := r.open(50, 5)
		synctest.Wait()
		r.mu.Lock()
		clear(r.got)
		r.mu.Unlock()
		const n = 10 << 10 // too much to be copied
		if err := r.p.Send(t.Context(), 50, 0, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if f := r.arrived(60, 1001)[0]; !f.Detour() {
			t.Error("it left without a mark")
		}
		o.lock()
		defer o.mu.Unlock()
		var kept fifo.Queue
		o.s.Share(o.from, wire.HeaderSize+n, &kept)
		if wire.Frame(kept.Front()).Detour() {
			t.Error("what is kept is marked")
		}
		kept.Clear()
	})
}
