package sim

import (
	"cmp"
	"math"
	"slices"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// link carries frames from one incarnation to another.
type link struct {
	w        *world
	from, to *node
	pipe     *pipe
	ended    bool
}

// linkRoom bounds the frames in a link.
const linkRoom = 200

func (l *link) send(f []byte, detour bool) {
	w := l.w
	switch {
	case l.ended || len(l.pipe.queue) >= linkRoom:
		w.count.full++
	case w.chance(w.net, w.drop):
		w.count.dropped++
	default:
		l.pipe.push(parcel{frame: f, detour: detour})
	}
}

// end breaks the link. Some of its frames are lost. The others were not written yet, and
// are routed again.
func (l *link) end() {
	if l.ended {
		return
	}
	l.ended = true
	at := 0
	if n := len(l.pipe.queue); n > 0 {
		at = l.w.net.IntN(n + 1)
	}
	again := l.pipe.cutOff(at)
	l.pipe.over = true
	l.to.ins = slices.DeleteFunc(l.to.ins, func(x *link) bool { return x == l })
	l.from.after(l.w.linkDelay(), func() { l.from.linkEnded(l, again) })
}

func (n *node) linkEnded(l *link, again []parcel) {
	n.w.logf("%v lost its link to %v", n.ref, l.to.ref)
	n.links = slices.DeleteFunc(n.links, func(x *link) bool { return x == l })
	n.updateLinks()
	for _, p := range again {
		if f := wire.Frame(p.frame); !p.detour && !n.route(f) {
			n.refuse(f)
		}
	}
}

// dial is an attempt to open a link to a peer.
type dial struct {
	peer     ring.Peer
	failed   string // why the last attempt failed
	backoff  backoff.Backoff
	dialling bool
}

func (n *node) linkTo(ref ring.Ref) *link {
	for _, l := range n.links {
		if l.to.ref == ref {
			return l
		}
	}
	return nil
}

func (n *node) dialTo(ref ring.Ref) *dial {
	for _, d := range n.dials {
		if d.peer.Ref() == ref {
			return d
		}
	}
	return nil
}

// updateLinks opens and drops links so that they match what the node was told.
func (n *node) updateLinks() {
	if n.over || n.local.Epoch == 0 {
		return
	}
	// A peer that is being dialled for the first time counts as reachable. Else every new
	// successor would bring links to the three after it.
	table, keep := n.local.Links(func(p ring.Peer) bool {
		d := n.dialTo(p.Ref())
		return d == nil || d.failed == ""
	})
	wanted := make(map[ring.Ref]bool)
	for _, p := range append(table, keep...) {
		ref := p.Ref()
		wanted[ref] = true
		if d := n.dialTo(ref); d != nil && d.peer.Addr != p.Addr { // it has moved
			n.dials = slices.DeleteFunc(n.dials, func(x *dial) bool { return x == d })
			n.dials = append(n.dials, &dial{peer: p, failed: d.failed})
		} else if n.linkTo(ref) == nil && d == nil {
			n.dials = append(n.dials, &dial{peer: p})
		}
	}
	slices.SortFunc(n.dials, func(a, b *dial) int { return cmp.Compare(a.peer.ID, b.peer.ID) })
	open, failure := false, ""
	for _, d := range slices.Clone(n.dials) {
		switch {
		case !wanted[d.peer.Ref()]:
			n.dials = slices.DeleteFunc(n.dials, func(x *dial) bool { return x == d })
		case d.failed != "":
			failure += d.failed + "; "
			if n.complaints.Unreachable(d.peer.Ref(), n.local.Epoch) {
				n.sendControl(control.Trouble{ID: d.peer.ID, Incarnation: d.peer.Incarnation, Error: d.failed})
			}
		default:
			open = true
		}
	}
	for _, d := range n.dials {
		n.dial(d)
	}
	if !open {
		if n.use.Epoch != n.local.Epoch {
			n.use = n.local
			n.w.logf("%v uses epoch %d", n.ref, n.use.Epoch)
			n.sendControl(control.Linked{Epoch: n.use.Epoch, Error: failure})
		}
		for _, l := range slices.Clone(n.links) {
			if !wanted[l.to.ref] { // it still delivers its frames
				n.links = slices.DeleteFunc(n.links, func(x *link) bool { return x == l })
			}
		}
	}
	n.updateRouter()
}

// dial dials a peer, unless that is under way.
func (n *node) dial(d *dial) {
	if d.dialling {
		return
	}
	d.dialling = true
	delay := Time(0)
	if d.failed != "" {
		d.backoff.Min, d.backoff.Max = n.w.lease/20, n.w.lease/2
		delay = d.backoff.Next()
	}
	done := func(l *link, why string) {
		d.dialling = false
		if n.dialTo(d.peer.Ref()) != d { // not wanted any more
			if l != nil {
				l.end()
			}
			return
		}
		if l == nil {
			d.failed = why
			n.updateLinks()
			n.dial(d)
			return
		}
		// Also if the dial was given up in between: the registry may have received the
		// report only after it asked for the link again.
		if n.complaints.Reached(d.peer.Ref()) {
			n.sendControl(control.Trouble{ID: d.peer.ID, Incarnation: d.peer.Incarnation})
		}
		n.dials = slices.DeleteFunc(n.dials, func(x *dial) bool { return x == d })
		n.links = append(n.links, l)
		slices.SortFunc(n.links, func(a, b *link) int { return cmp.Compare(a.to.ref.ID, b.to.ref.ID) })
		n.updateLinks()
	}
	var patience Time
	var try func()
	try = func() {
		n.after(n.w.dialDelay()+n.w.slowness(n.w.processAt(d.peer.Addr)), func() {
			to := n.w.processAt(d.peer.Addr)
			switch {
			case to == nil:
				n.after(n.w.dialTimeout(), func() { done(nil, "no answer") })
			case to.state == running && to.node == nil && patience > n.w.now:
				// It is about to be told its ID, and answers then.
				n.after(n.w.base, try)
			case to.state == stopped:
				n.after(n.w.dialTimeout(), func() { done(nil, "no answer") })
			case !n.w.reach(n.p, to):
				n.after(n.w.dialCut(), func() { done(nil, "cut") })
			case to.state == dead:
				done(nil, "connection refused")
			case to.node == nil || to.node.ref != d.peer.Ref():
				done(nil, "it is another incarnation")
			case n.w.mutual(n, to.node) != "":
				done(nil, "its credentials are not good")
			case to.node.dead[n.ref]:
				done(nil, "it was told that this incarnation is over")
			default:
				done(n.w.join(n, to.node), "")
			}
		})
	}
	n.after(delay, func() {
		patience = n.w.now + n.w.dialTimeout()
		try()
	})
}

func (w *world) join(from, to *node) *link {
	l := &link{w: w, from: from, to: to}
	l.pipe = w.pipe(from.p, from.p, to.p, w.linkDelay)
	l.pipe.link = l
	l.pipe.patient, l.pipe.broke = w.lease, l.end
	to.ins = append(to.ins, l)
	return l
}

// updateRouter works out what the node routes by.
func (n *node) updateRouter() {
	o := ring.Router{Mask: ring.Mask(n.w.bits), Self: n.ref.ID, HopLimit: math.MaxInt, Epoch: n.use.Epoch, Successor: n.use.Successor(), Stubs: stubIDs(n.use)}
	for _, l := range n.links {
		named := func(p ring.Peer) bool { return p.Ref() == l.to.ref }
		if slices.ContainsFunc(n.use.Entries, named) || slices.ContainsFunc(n.use.Successors, named) {
			o.Up = append(o.Up, l.to.ref.ID)
		}
	}
	slices.SortFunc(o.Up, func(a, b uint64) int {
		return cmp.Compare(ring.Distance(o.Mask, o.Self, a), ring.Distance(o.Mask, o.Self, b))
	})
	n.waypoints = nil
	for _, d := range n.use.Detours {
		if l := n.linkTo(d.Waypoint().Ref()); l != nil {
			o.Detours = append(o.Detours, d.To)
			n.waypoints = append(n.waypoints, l)
		}
	}
	n.router = o
}
