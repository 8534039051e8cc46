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
func (n *node) receive(l *link, f wire.Frame, detour bool) {
	if n.over {
		return
	}
	f.SetHops(f.Hops() + 1)
	n.w.judge.hop(n, f)
	n.w.judge.linked(n, l)
	dst := f.Dst()
	switch {
	case dst == n.ref.ID:
		n.handleFrame(f)
	case n.p.swallows(f):
	default:
		n.w.judge.relayed(n, f)
		n.router.Authoritative = n.authoritative()
		action, i := n.router.Relay(l.from.ref.ID, dst, int(f.Hops()), detour)
		if !n.follow(f, action, i) {
			n.refuse(f)
		}
	}
}

// route sends a frame on. It returns false if the sink does not exist.
func (n *node) route(f wire.Frame) bool {
	dst := f.Dst()
	if dst == n.ref.ID { // to itself
		n.after(0, func() { n.handleFrame(f) })
		return true
	}
	n.router.Authoritative = n.authoritative()
	action, i := n.router.Next(dst)
	return n.follow(f, action, i)
}

// follow performs a decision about a frame. It returns false if the sink does not exist.
func (n *node) follow(f wire.Frame, action ring.Action, i int) bool {
	dst := f.Dst()
	if n.w.tracing && f.Type() != wire.Data {
		n.w.logf("%v: %v from %d to %d: %d %d, %v, successor %d", n.ref, f.Type(), f.Src(), dst, action, i, n.router.Up, n.router.Successor)
	}
	switch action {
	case ring.Forward:
		id := n.router.Up[i]
		for _, l := range n.links {
			if l.to.ref.ID == id {
				l.send(f, false)
				break
			}
		}
	case ring.Detour:
		n.w.count.detours++
		n.waypoints[i].send(f, true)
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
	n.send(wire.Append(nil, wire.Header{Type: t, Port: f.Port(), Dst: f.Src(), Src: n.ref.ID, Seq: f.Seq()}, body))
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
