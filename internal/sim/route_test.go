package sim

import (
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// authoritative says whether the node may deny that an ID exists. A node that was declared
// dead, and does not know it, is not told of newcomers after it. A later registry may take
// it back, and learns of those newcomers only when they come back as well.
func (n *node) authoritative() bool {
	return n.firstEpoch > 0 && n.use.Epoch >= n.firstEpoch && n.ready && !n.leaving && n.w.now-n.confirmedAt < n.w.lease*3/4
}

// receive takes a frame from a link.
func (n *node) receive(l *link, f wire.Frame, around bool) {
	if n.over {
		return
	}
	f.SetHops(f.Hops() + 1)
	n.w.judge.hop(n, f)
	dst := f.Dst()
	switch {
	case dst == n.ref.ID:
		n.handleFrame(f)
	case n.use.Epoch == 0:
		n.w.judge.dropped(n, f)
	case around: // from here directly to the sink, or nowhere
		for _, x := range n.links {
			if x.to.ref.ID == dst {
				x.send(f, true)
				return
			}
		}
		n.w.judge.dropped(n, f)
	case n.outlook.Overshot(l.from.ref.ID, dst):
		n.w.count.overshot++
	default:
		if !n.route(f) {
			n.refuse(f)
		}
	}
}

// route sends a frame on. It returns false if the sink does not exist.
func (n *node) route(f wire.Frame) bool {
	n.outlook.Sure = n.authoritative()
	dst := f.Dst()
	if dst == n.ref.ID { // to itself
		n.after(0, func() { n.handleFrame(f) })
		return true
	}
	way, i := n.outlook.Next(dst)
	if n.w.tracing && f.Type() != wire.Data {
		n.w.logf("%v: %v from %d to %d: %d %d, %v, successor %d", n.ref, f.Type(), f.Src(), dst, way, i, n.outlook.Up, n.outlook.Successor)
	}
	switch way {
	case ring.Forward:
		id := n.outlook.Up[i]
		for _, l := range n.links {
			if l.to.ref.ID == id {
				l.send(f, false)
				break
			}
		}
	case ring.Around:
		n.w.count.around++
		n.ways[i].send(f, true)
	case ring.NoSuchNode:
		n.w.judge.noRoute(n, f)
		return false
	default:
		n.w.judge.dropped(n, f)
	}
	return true
}

// refuse tells the source of a frame that the sink does not exist. Answers are never
// answered.
func (n *node) refuse(f wire.Frame) {
	switch f.Type() {
	case wire.Open, wire.Data, wire.Sync, wire.Close:
		body := wire.NoRouteBody{Type: f.Type(), Reason: wire.NoSuchNode, Dst: f.Dst()}
		n.answer(wire.NoRoute, f, body.Append(nil))
	}
}

// answer sends a frame back to the source of f, with the same number.
func (n *node) answer(t wire.Type, f wire.Frame, body []byte) {
	n.send(wire.Append(nil, wire.Header{Type: t, Dst: f.Src(), Src: n.ref.ID, Seq: f.Seq()}, body))
}

// send sends frames of this node. It returns false if their sink does not exist.
func (n *node) send(frames []byte) bool {
	for len(frames) > 0 {
		var f wire.Frame
		f, frames = wire.Next(frames)
		if !n.route(append(wire.Frame(nil), f...)) {
			return false
		}
	}
	return true
}
