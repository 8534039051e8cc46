package sim

import (
	"maps"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
)

// node is one incarnation of a process.
type node struct {
	w    *world
	p    *process
	ref  ring.Ref
	over bool
	info *ring.Info // what it says of itself

	local       *membership.NodeView // the latest view that it was told
	use         *membership.NodeView // the view that it routes by
	ready       bool                 // it was announced
	departing   bool                 // it is about to leave, and sends nothing new
	asking      bool                 // it waits until no other lists it
	streamsCut  bool                 // its incoming streams are cut
	leaving     bool                 // it has asked to leave
	released    bool                 // it was told that it may leave
	confirmedAt Time                 // when it sent the latest message that the registry answered
	listEpoch   uint64               // of its latest list
	firstEpoch  uint64               // of the first manifest over the present connection, 0 before it came

	links     []*link // by ID
	ins       []*link
	dials     []*dial // by ID: peers that should have a link and do not
	dead      map[ring.Ref]bool
	left      map[ring.Ref]bool // incarnations that have left
	router    ring.Router
	waypoints []*link // of the router's Detours

	complaints membership.Complaints

	outs    []*outStream
	in      map[streamOf]*inStream
	gen     uint64
	talks   int
	ticking bool
}

func (p *process) begin(ref ring.Ref) *node {
	w := p.w
	n := &node{
		w: w, p: p, ref: ref, info: p.info, dead: make(map[ring.Ref]bool), left: make(map[ring.Ref]bool), in: make(map[streamOf]*inStream),
		local: &membership.NodeView{Self: ref, Bits: w.bits, Follows: services},
	}
	n.use = n.local
	p.node = n
	p.renewing = false
	p.learnInc(ref.Incarnation)
	w.judge.born(n)
	w.logf("%s is %v", p.addr, ref)
	n.after(w.jitter(2*w.pace), n.talk)
	return n
}

// after is a timer of this incarnation.
func (n *node) after(d Time, f func()) {
	n.p.after(d, func() {
		if !n.over {
			f()
		}
	})
}

// reportAgain repeats to the registry what it may not have received.
func (n *node) reportAgain(c *conn) {
	n.firstEpoch = 0
	n.complaints.Reset()
	for _, d := range n.dials {
		if d.failed != "" && n.complaints.Unreachable(d.peer.Ref(), n.local.Epoch) {
			c.sendToRegistry(control.Trouble{ID: d.peer.ID, Incarnation: d.peer.Incarnation, Error: d.failed})
		}
	}
	if n.departing && !n.leaving && !n.p.old {
		c.sendToRegistry(control.Leaving{})
	}
	if n.leaving {
		c.sendToRegistry(control.Deregister{ID: n.ref.ID, Addr: n.p.addr})
	}
}

func (n *node) sendControl(msg any) {
	if c := n.p.join.conn; c != nil && c.old != n {
		c.sendToRegistry(msg)
	}
}

// handleControl handles a message from the registry.
func (n *node) handleControl(c *conn, msg any) {
	if n.over {
		return
	}
	if n.p.old {
		msg = withoutLeaving(msg)
	}
	switch m := msg.(type) {
	case control.Manifest:
		next, err := n.local.Manifest(m)
		if n.failOn(err) {
			return
		}
		clear(n.dead) // an earlier registry may have declared incarnations dead that this manifest names
		n.local = next
		n.w.judge.checkList(n)
		n.learnIncs()
		if n.firstEpoch == 0 {
			n.firstEpoch = m.Epoch
		}
		n.updateLinks()
	case control.Handlers:
		next, err := n.local.Handlers(m)
		if n.failOn(err) {
			return
		}
		if n.use == n.local {
			n.use = next
		}
		n.local = next
	case control.Update:
		for _, g := range m.Gone {
			n.endDead(g)
		}
		next, err := n.local.Update(m)
		if n.failOn(err) {
			return
		}
		n.local = next
		n.learnIncs()
		n.updateLinks()
	case control.Announce:
		for _, g := range m.Gone {
			n.endDead(g)
		}
		for _, g := range m.Left {
			n.left[g] = true
			n.sweep(g)
		}
		for _, inc := range m.Incarnations {
			n.p.learnInc(inc)
		}
		next := n.local.Announce(m, n.w.auth.Uint64N)
		if n.use == n.local {
			n.use = next
		}
		n.local = next
		n.w.judge.checkList(n)
		n.confirmList(m)
		n.learnIncs()
		n.updateLinks()
	case control.Unlisted:
		n.unlisted(c)
	case control.Ready:
		n.ready = true
	case control.Ping:
		c.ask()
	case control.Deregistered:
		n.released = true
		n.w.judge.released(n)
	}
}

func (n *node) failOn(err error) bool {
	if err != nil {
		n.w.judge.fail("%v was told nonsense: %v", n.ref, err)
	}
	return err != nil
}

// endDead ends all links and streams to an incarnation that is over.
func (n *node) endDead(ref ring.Ref) {
	n.dead[ref] = true
	for _, l := range slices.Concat(n.links, n.ins) {
		if l.from.ref == ref || l.to.ref == ref {
			l.end()
		}
	}
	for _, o := range slices.Clone(n.outs) {
		if o.sink == ref.ID && o.opened && o.sinkInc <= ref.Incarnation {
			o.fail(errGone)
		}
	}
}

// sweep forgets the streams from an incarnation that has left, after a while, when they are
// empty.
func (n *node) sweep(ref ring.Ref) {
	n.after(n.w.lease*2/3, func() {
		again := false
		for port := range uint8(ports) {
			key := streamOf{ref.ID, port}
			in := n.in[key]
			switch {
			case in == nil || in.r.PeerIncarnation() > ref.Incarnation:
			case in.handler || in.r.Bytes() > 0:
				in.r.Trim()
				again = true
			default:
				delete(n.in, key)
			}
		}
		if again {
			n.sweep(ref)
		}
	})
}

// flushThenCut waits until all that the node has sent is delivered, for a limited time. Then it tells
// its sources how far their messages came.
func (n *node) flushThenCut(limit Time) {
	for _, o := range slices.Clone(n.outs) {
		o.send(o.s.Flush(n.w.now, nil))
	}
	if n.w.now < limit && slices.ContainsFunc(n.outs, func(o *outStream) bool { return o.s.Pending() > 0 }) {
		n.after(50*ms, func() { n.flushThenCut(limit) })
		return
	}
	n.streamsCut = true
	for _, in := range n.in {
		in.r.Cut()
	}
	n.sayFarewell(n.w.now + n.w.lease)
}

// sayFarewell sends farewells until every source has confirmed, for a limited time.
func (n *node) sayFarewell(limit Time) {
	handled := true
	for _, key := range slices.SortedFunc(maps.Keys(n.in), streamOf.compare) {
		in := n.in[key]
		if !in.r.Drained() {
			handled = false
		} else {
			n.send(in.r.AppendFarewell(nil))
		}
	}
	if !handled || n.w.now < limit && len(n.in) > 0 {
		n.after(stream.MinRTO, func() { n.sayFarewell(limit) })
		return
	}
	n.leaving = true
	n.w.logf("%v wants to leave", n.ref)
	n.sendControl(control.Deregister{ID: n.ref.ID, Addr: n.p.addr})
}

// depart ends a node that was released, when its links have drained.
func (n *node) depart() {
	n.after(n.w.lease/10, func() {
		n.end("left")
		n.p.quit()
	})
}

// end ends the incarnation. The process goes on.
func (n *node) end(why string) {
	n.over = true
	n.p.node = nil
	n.w.logf("%v is over: %s", n.ref, why)
	for _, l := range slices.Concat(n.links, n.ins) {
		l.end()
	}
	for _, o := range n.outs {
		n.w.judge.ended(o, errLife)
	}
	n.outs = nil
}
