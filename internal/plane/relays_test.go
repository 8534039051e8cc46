package plane

import (
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/wire"
)

// ofRun is a message from 5, of the run with this port, that has crossed so many links.
func ofRun(port uint8, dst, seq uint64, hops uint16) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Data, Port: port, Dst: dst, Src: 5, Seq: seq, Hops: hops}, []byte("body"))
}

// took checks the relays of a run since the last call.
func (r *rig) took(port uint8, relayed, wasted int64) {
	r.t.Helper()
	if a, b := r.p.TakeRelays(port); a != relayed || b != wasted {
		r.t.Errorf("run on port %d: %d relayed and %d wasted, want %d and %d", port, a, b, relayed, wasted)
	}
}

// Each run has its own count, however the messages of several lie in a batch. Casts and the
// application's messages count for none.
func TestRelaysByRun(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(40)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		cast := ofRun(129, 40, 0, 0)
		cast[0] = byte(wire.Cast)
		batch := []wire.Frame{
			ofRun(129, 40, 1, 0), ofRun(129, 40, 2, 0), ofRun(255, 40, 3, 0), ofRun(129, 40, 4, 0), cast, cast, ofRun(0, 40, 5, 0),
			ofRun(129, 40, 6, 0), ofRun(128, 40, 7, 0), ofRun(128, 50, 8, 0),
		}
		r.batch(batch...)
		r.batch(ofRun(128, 40, 9, 3))
		if n := r.p.Counters().Relayed; n != 11 {
			t.Errorf("%d relayed in all, want 11", n)
		}
		r.took(129, 4, 0)
		r.took(129, 0, 0)
		r.p.ForgetRelays(255)
		r.took(128, 0, 0)
		r.took(255, 1, 0)
		r.took(0, 0, 0)
		r.batch(batch...)
		if n := r.p.Counters().Relayed; n != 21 {
			t.Errorf("%d relayed in all, want 21: what was taken counts", n)
		}
		r.took(129, 4, 0)
	})
}

// A dropped frame was relayed in vain: by the nodes before, and by this node if it has counted
// it.
func TestWastedAtARelay(t *testing.T) {
	const port = 130
	withRig(t, func(t *testing.T, r *rig) {
		r.feed(ofRun(port, 40, 1, 4)) // no table yet
		r.took(port, 0, 4)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		r.feed(ofRun(port, 40, 2, 4)) // no link
		r.took(port, 0, 4)
		r.link(30)
		r.link(40)
		r.feed(ofRun(port, 25, 3, 4)) // the ID is not taken
		r.took(port, 0, 4)
		r.feed(ofRun(port, 15, 4, 4)) // it has passed its sink
		r.took(port, 0, 4)
		r.feed(ofRun(port, 40, 5, 999)) // over the limit
		r.took(port, 0, 999)
		r.feed(ofRun(port, 40, 6, 4), ofRun(0, 25, 7, 4), ofRun(port, 40, 8, 0))
		r.took(port, 2, 0)
	})
	withRig(t, func(t *testing.T, r *rig) { // the queue of a link is full
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		l := r.jam(40)
		for seq := range uint64(20) {
			r.feed(ofRun(port, 40, seq, 2))
		}
		full := r.p.Counters().Dropped.QueueFull
		if full == 0 {
			t.Fatal("nothing was dropped")
		}
		r.took(port, 20, 3*full)
		l.Fail(errBroken) // the other frames waited for it, and there is no other way
		synctest.Wait()
		r.took(port, 0, 3*(20-full))
	}, func(c *Config) { c.LinkQueue = 10 * (wire.HeaderSize + 4) })
	withRig(t, func(t *testing.T, r *rig) { // it takes another way: it was relayed once
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		r.link(30)
		l := r.jam(40)
		r.feed(ofRun(port, 50, 1, 2), ofRun(port, 50, 2, 2))
		l.Fail(errBroken)
		r.arrived(30, 1, 2)
		r.took(port, 2, 0)
	})
}

// At the sink: copies of received messages, messages without room or stream, and those that were
// held and given up.
func TestWastedAtTheSink(t *testing.T) {
	const port = 130
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.feed(ofRun(port, 20, 77, 3)) // no stream
		r.took(port, 0, 3)
		r.offer(5, 1, 1)
		b, err := wire.ParseOpened(r.got[30][len(r.got[30])-1].Body())
		if err != nil {
			t.Fatal(err)
		}
		first := b.First
		r.feed(ofRun(port, 20, first, 3), ofRun(port, 20, first, 4), ofRun(port, 20, first-1, 5))
		r.took(port, 0, 9) // a copy, and one of another stream
		r.feed(ofRun(port, 20, first+2, 3), ofRun(port, 20, first+3, 2), ofRun(port, 20, first+3, 1))
		r.took(port, 0, 1) // a copy of one that is held
		r.p.Evict(5, 1)
		r.took(port, 0, 5) // nothing will fill the gap
	})
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.offer(5, 1, 1)
		b, err := wire.ParseOpened(r.got[30][len(r.got[30])-1].Body())
		if err != nil {
			t.Fatal(err)
		}
		r.feed(ofRun(port, 20, b.First+1, 7)) // no room ahead of a gap
		r.took(port, 0, 7)
	}, func(c *Config) { c.ReceiveBuffer = 40 })
}
