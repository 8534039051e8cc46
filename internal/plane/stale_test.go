package plane

import (
	"testing"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// frame is a frame from a peer to this node.
func frame(t wire.Type, from, seq uint64, body ...byte) wire.Frame {
	return wire.Append(nil, wire.Header{Type: t, Dst: 20, Src: from, Seq: seq}, body)
}

// Answers to a stream that has ended in good order are late, and not of an earlier incarnation. Those
// with other numbers are.
func TestLateAnswersAreNotStale(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		o := r.open(40, 5)
		again := r.opened(40, 5)
		r.feed(again, ack(40, 1000), ack(40, 1001), ack(40, 1000), ack(40, 1001))
		r.dropped(status.Dropped{})
		o.closeIfIdle()
		o.closeIfIdle()
		r.feed(frame(wire.Closed, 40, 1001))
		if o.s.State() != stream.Ended || o.s.Err() != nil || r.p.findOutbound(40, 0) != nil {
			t.Fatal("the stream has not ended in good order")
		}
		late := []wire.Frame{frame(wire.Closed, 40, 1001), ack(40, 1000), ack(40, 1001), frame(wire.Reset, 40, 1001), again}
		stray := []wire.Frame{frame(wire.Closed, 40, 1002), ack(40, 999), ack(50, 1000), frame(wire.Reset, 40, 999)}
		r.feed(late...)
		r.dropped(status.Dropped{})
		r.feed(stray...)
		r.dropped(status.Dropped{Stale: int64(len(stray))})
		if err := r.p.Send(t.Context(), 40, 0, []byte("next")); err != nil { // a new stream opens
			t.Fatal(err)
		}
		r.feed(late...)
		r.dropped(status.Dropped{Stale: int64(len(stray))})
		r.feed(stray...)
		r.dropped(status.Dropped{Stale: int64(2 * len(stray))})
	})
}

// The same at the sink, for copies of what a stream carried that come after its end.
func TestLateFramesOfASourceAreNotStale(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.offer(40, 5, 7, 0, 1)
		first := r.p.inbounds.byNode[40].r.First()
		r.feed(frame(wire.Close, 40, first+2))
		if r.p.inbounds.byNode[40] != nil {
			t.Fatal("the stream has not ended")
		}
		late := []wire.Frame{
			frame(wire.Close, 40, first+2), frame(wire.Data, 40, first+1), frame(wire.Sync, 40, first+2, 0, 0, 0, 1),
		}
		stray := []wire.Frame{frame(wire.Data, 40, first-1), frame(wire.Sync, 40, first+3, 0, 0, 0, 1)}
		r.feed(late...)
		r.dropped(status.Dropped{})
		r.feed(stray...)
		r.dropped(status.Dropped{Stale: int64(len(stray))})
		r.offer(40, 5, 8, 0) // a new stream
		repeat := wire.Append(nil, wire.Header{Type: wire.Open, Dst: 20, Src: 40, Seq: 7}, wire.OpenBody{Incarnation: 5}.Append(nil))
		r.feed(append(late, repeat)...)
		r.dropped(status.Dropped{Stale: int64(len(stray))})
		earlier := wire.Append(nil, wire.Header{Type: wire.Open, Dst: 20, Src: 40, Seq: 9}, wire.OpenBody{Incarnation: 4}.Append(nil))
		r.feed(append(stray, earlier)...)
		r.dropped(status.Dropped{Stale: int64(2*len(stray) + 1)})
	})
}
