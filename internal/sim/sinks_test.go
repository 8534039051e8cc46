package sim

import (
	"cmp"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// ports is how many services each node has. Their ports are the same at all nodes.
const ports = 2

// streamOf names a stream to a node.
type streamOf struct {
	source uint64
	port   uint8
}

func (s streamOf) compare(t streamOf) int {
	return cmp.Or(cmp.Compare(s.source, t.source), cmp.Compare(s.port, t.port))
}

// inStream is the sink's half of a stream.
type inStream struct {
	r       *stream.Receiver
	handler bool // the handler is planned
	unacked int  // bytes handled since the last acknowledgement
}

const (
	sinkRoom = 64 << 10
	window   = 2 << 10
)

// handleFrame handles a frame for this node.
func (n *node) handleFrame(f wire.Frame) {
	if n.over {
		return
	}
	src, port := f.Src(), f.Port()
	in := n.in[streamOf{src, port}]
	switch f.Type() {
	case wire.Open:
		n.handleOpen(in, f)
	case wire.Data:
		if in == nil {
			n.answer(wire.Reset, f, nil)
			return
		}
		v, hole := in.r.Data(f, sinkRoom-in.r.Bytes())
		if v == stream.Accepted && !in.handler {
			in.handler = true
			n.after(n.w.jitter(n.w.handle), func() { n.handle(in) })
		}
		if v == stream.Held && hole {
			n.send(in.r.AppendAck(nil, window))
		}
		if v == stream.Beyond && in.r.Drained() {
			n.send(in.r.AppendFarewell(nil))
		}
	case wire.Sync:
		round, err := wire.ParseRound(f.Body())
		if err != nil {
			n.w.judge.fail("%v", err)
			return
		}
		if in == nil || in.r.Sync(f.Seq(), round) == stream.Stale {
			n.answer(wire.Reset, f, nil)
			return
		}
		n.acknowledge(in)
	case wire.Close:
		if in != nil && !in.r.OutsideWindow(f.Seq()) {
			if in.handler || !in.r.Close(f.Seq()) {
				n.acknowledge(in)
				return
			}
			delete(n.in, streamOf{src, port})
		}
		n.answer(wire.Closed, f, nil)
	case wire.NoRoute:
		if b, err := wire.ParseNoRoute(f.Body()); err == nil {
			if o := n.outTo(b.Dst, port); o != nil {
				o.answered(f)
			}
		}
	default:
		if o := n.outTo(src, port); o != nil {
			o.answered(f)
		} else if f.Type() == wire.Farewell { // of a stream that has ended
			n.answer(wire.Close, f, nil)
		} else if f.Type() == wire.Opened { // of a stream that was given up
			if b, err := wire.ParseOpened(f.Body()); err == nil {
				n.send(wire.Append(nil, wire.Header{Type: wire.Close, Port: port, Dst: src, Src: n.ref.ID, Seq: b.First}, nil))
			}
		}
	}
}

// handleOpen handles an Open, of the present stream if there is one.
func (n *node) handleOpen(in *inStream, f wire.Frame) {
	b, err := wire.ParseOpen(f.Port(), f.Body())
	if err != nil {
		n.w.judge.fail("%v", err)
		return
	}
	first := n.w.talkers.Uint64N(1 << 62)
	if n.streamsCut && n.refuseOpen(in, f, b) {
		return
	}
	src := f.Src()
	if want := serviceName(f.Port()); b.Service != want {
		n.w.judge.fail("node %d asks for the service %q on port %d", src, b.Service, f.Port())
	}
	if in == nil {
		in = &inStream{r: stream.NewReceiver(n.ref.ID, n.ref.Incarnation, src, b.Incarnation, f.Seq(), first)}
		in.r.SetPort(f.Port())
		n.in[streamOf{src, f.Port()}] = in
		if ref := (ring.Ref{ID: src, Incarnation: b.Incarnation}); n.left[ref] {
			n.sweep(ref)
		}
	}
	if in.r.Open(b.Incarnation, f.Seq(), first) {
		n.send(in.r.AppendOpened(nil, window))
	} else {
		n.send(in.r.AppendOlder(nil, f.Port(), b.Incarnation, f.Seq()))
	}
	n.p.learnInc(in.r.PeerIncarnation())
}

// handle handles all messages that have gathered. It stops within a bundle now and then, and tells the
// source how far it is.
func (n *node) handle(in *inStream) {
	q := in.r.Take()
	n.handleChunk(in, &q, wire.Walk(q.Front()))
}

func (n *node) handleChunk(in *inStream, q *fifo.Queue, m wire.Walker) {
	left, count := m.Left(), uint64(0)
	for m.Next() {
		n.w.judge.delivered(n, m.Frame, m.Body)
		if count++; m.Frame.Messages() > 2 && count == 2 && m.Left() > 0 {
			in.r.Handled(count)
			in.unacked += left - m.Left()
			n.acknowledge(in)
			n.after(1+n.w.handle/4, func() { n.handleChunk(in, q, m) })
			return
		}
	}
	in.unacked += left
	tell := in.r.Handled(count)
	q.Discard(len(q.Front()))
	if q.Size() > 0 {
		n.handleChunk(in, q, wire.Walk(q.Front()))
		return
	}
	if tell || in.unacked >= window/4 || in.r.Drained() {
		in.unacked = 0
		n.acknowledge(in)
	}
	if in.handler = in.r.Pending(); in.handler {
		n.after(n.w.jitter(n.w.handle), func() { n.handle(in) })
	}
}

// acknowledge tells the source how far a stream has come, finally if it was cut.
func (n *node) acknowledge(in *inStream) {
	if in.r.Drained() {
		n.send(in.r.AppendFarewell(nil))
	} else {
		n.send(in.r.AppendAck(nil, window))
	}
}

// refuseOpen refuses an Open while the node leaves, unless it is for the present stream.
func (n *node) refuseOpen(in *inStream, f wire.Frame, b wire.OpenBody) bool {
	if in != nil {
		if in.r.CompareOpen(b.Incarnation, f.Seq()) <= 0 {
			return false
		}
		if !in.handler { // its source has ended it
			delete(n.in, streamOf{f.Src(), f.Port()})
		}
	}
	n.answer(wire.Refuse, f, wire.RefuseBody{SourceIncarnation: b.Incarnation, Reason: wire.RefuseLeaving}.Append(nil))
	return true
}
