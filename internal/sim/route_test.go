package sim

import (
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// sure says whether the node's word that somebody does not exist is to be trusted. One
// that was declared dead without knowing it is not told of newcomers behind it; one that
// such a thing happened to may be taken back by a later registry, which learns of the
// newcomers only when they come back as well.
func (n *node) sure() bool {
	return n.fresh > 0 && n.use.Epoch >= n.fresh && n.ready && !n.leaving && n.w.now-n.touched < n.w.lease*3/4
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
		n.take(f)
	default:
		n.outlook.Authoritative = n.sure()
		action, i := n.outlook.Relay(l.from.ref.ID, dst, int(f.Hops()), around)
		if !n.follow(f, action, i) {
			n.refuse(f)
		}
	}
}

// route sends a frame on; false if nobody has the ID that it is for.
func (n *node) route(f wire.Frame) bool {
	dst := f.Dst()
	if dst == n.ref.ID { // to itself
		n.after(0, func() { n.take(f) })
		return true
	}
	n.outlook.Authoritative = n.sure()
	action, i := n.outlook.Next(dst)
	return n.follow(f, action, i)
}

// follow does what was decided about a frame; false if nobody has the ID that it is for.
func (n *node) follow(f wire.Frame, action ring.Action, i int) bool {
	dst := f.Dst()
	if n.w.tracing && f.Type() != wire.Data {
		n.w.logf("%v: %v from %d to %d: %d %d, %v, successor %d", n.ref, f.Type(), f.Src(), dst, action, i, n.outlook.Up, n.outlook.Successor)
	}
	switch action {
	case ring.Forward:
		id := n.outlook.Up[i]
		for _, l := range n.links {
			if l.to.ref.ID == id {
				l.send(f, false)
				break
			}
		}
	case ring.Detour:
		n.w.count.around++
		n.ways[i].send(f, true)
	case ring.Direct:
		for _, x := range n.links {
			if x.to.ref.ID == dst {
				x.send(f, true)
				return true
			}
		}
		n.w.judge.dropped(n, f)
	case ring.Overshoot:
		n.w.count.overshot++
	case ring.NoSuchNode:
		n.w.judge.noRoute(n, f)
		return false
	default:
		n.w.judge.dropped(n, f)
	}
	return true
}

// refuse tells the source of a frame that it goes no further. Answers are never
// answered.
func (n *node) refuse(f wire.Frame) {
	switch f.Type() {
	case wire.Open, wire.Data, wire.Sync, wire.Close:
		body := wire.NoRouteBody{Type: f.Type(), Reason: wire.NoSuchNode, Dst: f.Dst()}
		n.answer(wire.NoRoute, f, body.Append(nil))
	}
}

// answer sends a frame back to where f came from, with the same number.
func (n *node) answer(t wire.Type, f wire.Frame, body []byte) {
	n.send(wire.Append(nil, wire.Header{Type: t, Dst: f.Src(), Src: n.ref.ID, Seq: f.Seq()}, body))
}

// send sends frames of the node's own; false if their sink does not exist.
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
