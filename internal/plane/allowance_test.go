package plane

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/wire"
)

// Messages admitted by an allowance are in all accounts whenever the stream is locked, and before
// that in the accounts that bound it.
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
			waits, claimed := int64(o.size()), l.Reserved()
			o.mu.Unlock()
			if stored < bytes || claimed < waits {
				t.Fatalf("%d bytes are kept and %d counted, %d wait and %d are counted", bytes, stored, waits, claimed)
			}
		}
		if byAllowance < 200 {
			t.Errorf("%d of 300 messages went by an allowance", byAllowance)
		}
		o.lock()
		defer o.unlock()
		if o.bytes != o.s.Bytes() || o.granted != 0 || o.left != 0 {
			t.Errorf("%d bytes are counted of %d, %d are allowed", o.bytes, o.s.Bytes(), o.left)
		}
	})
}

// An allowance is within the stream's share of the send buffer.
func TestAllowanceIsWithinTheShare(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		o := r.stream()
		r.jam(40)
		r.send(50, 20)
		o.lock()
		defer o.unlock()
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

// A detour marks the frames that leave, not those that are kept for retransmission.
func TestDetourDoesNotMarkTheStore(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(60)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 60}, Authoritative: true, Successor: 30, Detours: map[uint64]uint64{50: 60}})
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
		defer o.unlock()
		var kept fifo.Queue
		o.s.View(o.inStoreFrom, wire.HeaderSize+n, &kept)
		if wire.Frame(kept.Front()).Detour() {
			t.Error("what is kept is marked")
		}
		kept.Clear()
	})
}

// Every use of a stream ends the allowance first, and finds its accounts up to date.
func TestAllowanceEnds(t *testing.T) {
	for name, f := range map[string]func(r *rig, o *outbound, l *peers.Link){
		"an answer":        func(r *rig, o *outbound, l *peers.Link) { o.handleAnswer(ack(50, 1000)) },
		"a refusal":        func(r *rig, o *outbound, l *peers.Link) { o.handleNoRoute(1, wire.NoRouteBody{Type: wire.Data}) },
		"an end":           func(r *rig, o *outbound, l *peers.Link) { o.evict(1) },
		"a tick":           func(r *rig, o *outbound, l *peers.Link) { o.tick(false) },
		"a look":           func(r *rig, o *outbound, l *peers.Link) { o.closeIfIdle() },
		"a question":       func(r *rig, o *outbound, l *peers.Link) { r.p.askAll() },
		"a flush":          func(r *rig, o *outbound, l *peers.Link) { r.p.Await(canceled) },
		"a link that ends": func(r *rig, o *outbound, l *peers.Link) { r.p.reattach(l) },
		"another link's turn": func(r *rig, o *outbound, l *peers.Link) {
			var q fifo.Queue
			o.Pull(nil, &q, 1)
		},
		"counters": func(r *rig, o *outbound, l *peers.Link) { r.p.Counters() },
	} {
		t.Run(name, func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				o := r.stream()
				l := r.jam(40)
				for used := false; !used; {
					r.send(50, 1)
					o.mu.Lock()
					used = o.left > 0 && o.left < o.granted
					o.mu.Unlock()
				}
				f(r, o, l)
				o.mu.Lock()
				defer o.mu.Unlock()
				if o.left != 0 || o.granted != 0 || o.bytes != o.s.Bytes() {
					t.Errorf("%d bytes are left of %d, %d are counted of %d", o.left, o.granted, o.bytes, o.s.Bytes())
				}
			})
		})
	}
}

var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// An allowance is within the window.
func TestAllowanceIsWithinTheWindow(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		o := r.stream()
		r.jam(40)
		o.lock()
		o.s.Ask(r.p.now(), nil) // so that the time to ask does not end it yet
		o.unlock()
		for i, room := 0, true; room; i++ {
			if err := r.p.Send(t.Context(), 50, 0, make([]byte, i%11)); err != nil {
				t.Fatal(err)
			}
			o.lock()
			o.grant()
			room = o.s.Room(11)
			if o.left > o.s.Allowance() {
				t.Errorf("%d bytes are allowed, there is room for %d", o.left, o.s.Allowance())
			}
			o.unlock()
		}
	}, func(c *Config) { c.LinkLow = 1 << 20 })
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
		o.lock()
		size := o.size()
		o.unlock()
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
