package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// judge knows the whole world, and compares it with what was promised. The first violation
// stays in err.
type judge struct {
	w               *world
	err             error
	streams         []*outStream
	incarnations    map[ring.Ref]*incarnation
	issued          map[uint64]ring.Ref // all incarnations ever given, by number
	all             []*incarnation
	announcedDeaths int          // since resurrect
	lanes           map[lane]int // the latest stream that was delivered
	lists           map[version]string
}

// lane is what has streams in an order: a service between two incarnations.
type lane struct {
	from, to ring.Ref
	port     uint8
}

// incarnation is what the judge knows of one incarnation of a node.
type incarnation struct {
	ref           ring.Ref
	p             *process
	n             *node
	member        bool // of the present registry, or of the one before
	announced     Time
	leaving       bool
	askedOf       *registry // to take it off the lists, and when
	asked         Time
	dead          bool // its process is dead
	why           string
	announcedDead bool // it was announced, and then declared dead
	declaredDead  bool // it was declared dead once
	returned      Time // when all nodes had been told that it lives after all
	gen           int  // of the registry that admitted it or took it back
	own           Time // when a registry of its ring took it in last
	early         bool // a registry without a ring admitted it
	expelled      bool
	until         time.Time // the latest admission that it got expires then, in a secure ring
}

func newJudge(w *world) *judge {
	return &judge{w: w, incarnations: make(map[ring.Ref]*incarnation), issued: make(map[uint64]ring.Ref), lanes: make(map[lane]int), lists: make(map[version]string)}
}

func (j *judge) fail(format string, args ...any) {
	if j.err == nil {
		j.err = fmt.Errorf("at %v: %s", j.w.now, fmt.Sprintf(format, args...))
		j.w.logf("FAILED: %v", j.err)
	}
}

// resurrect is called when all nodes have confirmed what the registry told them. An
// incarnation that was declared dead, and that a later registry took back because it could
// not know, counts again from now on.
func (j *judge) resurrect() {
	j.announcedDeaths = 0
	for _, x := range j.all {
		if x.announcedDead && !x.isOver() && !x.member {
			j.announcedDeaths++ // it may still come back
		}
		if x.member && x.announcedDead && !x.isOver() {
			x.announced, x.returned, x.announcedDead = j.w.now, j.w.now, false
		}
	}
}

// admitted is called when a registry admits an incarnation or takes it back.
func (j *judge) admitted(r *registry, m ring.Member, p *process) {
	x := j.incarnations[m.Ref()]
	if x == nil {
		if was, ok := j.issued[m.Incarnation]; ok {
			j.fail("incarnation %d of node %d was given to node %d before", m.Incarnation, m.ID, was.ID)
		}
		j.issued[m.Incarnation] = m.Ref()
		x = &incarnation{ref: m.Ref(), p: p, early: !r.auth.Live()}
		j.incarnations[m.Ref()] = x
		j.all = append(j.all, x)
	}
	x.gen, x.own = r.gen, j.w.now
	x.member = true
}

// checkUniqueID checks that no other member of this registry has the ID of an incarnation
// that was just admitted.
func (j *judge) checkUniqueID(ref ring.Ref) {
	for _, y := range j.all {
		if y.ref != ref && y.ref.ID == ref.ID && y.mustExist() && j.incarnations[ref].member && y.gen == j.w.registry.gen {
			j.fail("%v and %v have one ID", ref, y.ref)
		}
	}
}

func (x *incarnation) isOver() bool {
	return x.expelled || x.dead || x.p.state == dead || x.n != nil && x.n.over
}

// superseded says that an incarnation was away so long that its ID was given to another
// node, which is gone. A later registry may take it back, since it cannot know. It gets a
// new incarnation when a sink that remembers the other node refuses it.
func (j *judge) superseded(ref ring.Ref) bool {
	for _, y := range j.all {
		if y.ref.ID == ref.ID && y.ref.Incarnation > ref.Incarnation {
			return true
		}
	}
	return false
}

// mustExist says that no node may deny that this incarnation exists.
func (x *incarnation) mustExist() bool {
	return x.member && x.announced > 0 && !x.leaving && !x.isOver()
}

func (j *judge) born(n *node)        { j.incarnations[n.ref].n = n }
func (j *judge) leaves(ref ring.Ref) { j.incarnations[ref].leaving = true }
func (j *judge) died(n *node)        { j.incarnations[n.ref].dead = true }
func (j *judge) released(n *node)    {}
func (j *judge) survivors() bool {
	for _, x := range j.all {
		if x.member && !x.isOver() && x.announced > 0 && x.gen < j.w.registry.gen {
			return true
		}
	}
	return false
}

// effect checks a decision of a registry.
func (j *judge) effect(r *registry, e membership.Effect) {
	x := j.incarnations[e.Ref]
	switch e.Kind {
	case membership.Send:
		if m, ok := e.Body.(control.Manifest); ok {
			j.checkManifestLists(r, e.Ref, m)
		}
	case membership.Ready:
		x.announced, x.early = j.w.now, false
	case membership.Left:
		x.member = false
		if !x.leaving {
			j.fail("%v left without having asked to", e.Ref)
		}
	case membership.Dead:
		x.why = e.Why
		again := x.declaredDead
		x.markDead()
		j.w.count.deaths++
		// again: members remember that it was, and a new registry did not know
		if !j.excused(x, r) && !j.addressTaken(x, e.Addr, r) && !x.leaving && !again {
			j.fail("%v was declared dead without a reason: %s", e.Ref, e.Why)
		}
	case membership.LedAround:
		j.ledAround(e)
	case membership.Rebuilt:
		r.rebuilt = j.w.now
		for _, x := range j.all {
			if m, ok := r.auth.Holder(x.ref.ID); x.member && (!ok || m.Incarnation != x.ref.Incarnation) {
				if !j.excused(x, r) {
					j.fail("%v was there, and the registry did not wait for it", x.ref)
				}
				x.markDead()
			}
		}
	}
}

func (x *incarnation) markDead() {
	x.member, x.declaredDead = false, true
	if x.announced > 0 {
		x.announced, x.announcedDead = 0, true
		x.p.w.judge.announcedDeaths++
	}
}

// excused says whether a registry has a reason to take an incarnation for dead.
func (j *judge) excused(x *incarnation, r *registry) bool {
	w := j.w
	p := x.p
	if j.superseded(x.ref) || j.namesake(x) {
		return true // it was declared dead before, and came back all the same
	}
	return x.isOver() || x.leaving || j.otherRings(x, r) || j.lapsed(x) || x.n == nil || // it was not told that it was admitted
		x.early && r.gen > 1 || // a newcomer may have to make room for a member that comes back
		p.state == stopped || !w.reach(p, r.p) ||
		w.now-p.troubled < 2*w.lease
}

// refusedLife is called when a registry refuses an incarnation as dead.
func (j *judge) refusedLife(r *registry, ref ring.Ref) {
	x := j.incarnations[ref]
	if x.member && !j.excused(x, r) {
		j.fail("%v was refused by registry %d without a reason", ref, r.gen)
	}
	x.markDead()
}

// noRoute is called when a node denies that an ID exists.
func (j *judge) noRoute(n *node, f wire.Frame) {
	if n.p.outlaw {
		return
	}
	for _, x := range j.all {
		if x.ref.ID == f.Dst() && x.mustExist() && x.n.local.Identity == n.local.Identity {
			j.fail("%v denies that ID %d exists, which is that of %v, announced at %v (successor %d of epoch %d, up %v, last touched at %v; %v frame from %d)",
				n.ref, f.Dst(), x.ref, x.announced, n.router.Successor, n.use.Epoch, n.router.Up, n.confirmedAt, f.Type(), f.Src())
		}
	}
}

// dropped is called when a node has no route for a frame.
func (j *judge) dropped(n *node, f wire.Frame) {
	j.w.count.down++
	if !j.w.calm || n.leaving { // the others end their links to a node that left
		return
	}
	for _, x := range j.all {
		if x.ref.ID == f.Dst() && x.mustExist() {
			j.fail("%v dropped a %v frame from %d to %v, in a ring without deaths (epoch %d, successor %d, up %v)",
				n.ref, f.Type(), f.Src(), x.ref, n.use.Epoch, n.router.Successor, n.router.Up)
		}
	}
}

// hop is called when a frame arrives at a node.
func (j *judge) hop(n *node, f wire.Frame) {
	j.w.count.frames++
	if limit := len(j.w.processes) + 2; int(f.Hops()) > limit {
		j.fail("a %v frame from %d to %d crossed %d links, now to %v", f.Type(), f.Src(), f.Dst(), f.Hops(), n.ref)
	}
}

// isThere says whether an incarnation with this ID goes on.
func (j *judge) isThere(id uint64) bool {
	for _, x := range j.all {
		if x.ref.ID == id && x.n != nil && !x.isOver() {
			return true
		}
	}
	return false
}

// opened is called when a stream knows the incarnation of its sink.
func (j *judge) opened(o *outStream) {
	x := j.incarnations[ring.Ref{ID: o.sink, Incarnation: o.sinkInc}]
	if x == nil {
		j.fail("a stream from %v to %d was opened by incarnation %d, which was never given", o.n.ref, o.sink, o.sinkInc)
	}
}

// delivered is called when the handler of a node gets a message.
func (j *judge) delivered(n *node, f wire.Frame, body []byte) {
	no, index := binary.BigEndian.Uint64(body), int(binary.BigEndian.Uint64(body[8:]))
	o := j.streams[no]
	at := lane{o.n.ref, n.ref, o.port}
	switch {
	case o.n.ref.ID != f.Src() || o.sink != n.ref.ID || f.Dst() != n.ref.ID:
		j.fail("%v got a message from %v to %d as one from %d to %d", n.ref, o.n.ref, o.sink, f.Src(), f.Dst())
	case o.port != f.Port():
		j.fail("%v got a message of stream %d, which has port %d, on port %d", n.ref, no, o.port, f.Port())
	case !o.opened || o.sinkInc != n.ref.Incarnation:
		j.fail("%v got message %d of a stream from %v to its incarnation %d", n.ref, index, o.n.ref, o.sinkInc)
	case o.over && index >= o.back:
		j.fail("%v got message %d of stream %d from %v, which knows that those from %d on are not handled", n.ref, index, no, o.n.ref, o.back)
	case index < o.got:
		j.fail("%v got message %d of stream %d from %v twice", n.ref, index, no, o.n.ref)
	case index > o.got:
		j.fail("%v got message %d of stream %d from %v before message %d", n.ref, index, no, o.n.ref, o.got)
	case int(no) < j.lanes[at]:
		j.fail("%v got something of stream %d from %v after stream %d", n.ref, no, o.n.ref, j.lanes[at])
	}
	j.lanes[at] = int(no)
	o.got++
	j.w.count.delivered++
	j.w.longest = max(j.w.longest, j.w.now-o.pushed[index])
}

// acked is called when a source is told how many of its messages were handled.
func (j *judge) acked(o *outStream) {
	if int(o.acked) > o.got {
		j.fail("%v believes that %d messages of stream %d to %d were handled, %d were", o.n.ref, o.acked, o.no, o.sink, o.got)
	}
}

// ended is called when a source gives up a stream. The messages that are not acknowledged
// have an unknown outcome.
func (j *judge) ended(o *outStream, err error) { j.endedWith(o, err, o.s.Pending()) }

func (j *judge) endedWith(o *outStream, err error, pending uint64) {
	if o.over {
		return
	}
	o.over = true
	known := uint64(len(o.pushed)) - pending
	o.back = int(known + o.s.Unknown())
	if o.got > o.back {
		j.fail("%v believes that of stream %d to %d those from %d on are not handled, %d were", o.n.ref, o.no, o.sink, o.back, o.got)
	}
	o.acked = known
	j.acked(o)
	j.w.logf("stream %d from %v to %d/%d ended: %v, %d of %d unknown", o.no, o.n.ref, o.sink, o.sinkInc, err, pending, len(o.pushed))
	if err == nil {
		if pending > 0 {
			j.fail("stream %d from %v ended in good order with %d messages pending", o.no, o.n.ref, pending)
		}
		return
	}
	j.w.count.unknown += int(o.s.Unknown())
	if errors.Is(err, errLife) {
		return
	}
	if x := j.incarnations[ring.Ref{ID: o.sink, Incarnation: o.sinkInc}]; j.w.calm && x != nil && x.leaving && o.s.Unknown() > 0 {
		j.fail("%d messages of stream %d from %v to %v are of unknown outcome, though it left in good order: %v", o.s.Unknown(), o.no, o.n.ref, x.ref, err)
	}
	if err == stream.ErrLeft {
		if o.opened && o.got != int(known) || o.s.Unknown() > 0 {
			j.fail("%v believes that %d messages of stream %d to %d, which has left, were handled, %d were", o.n.ref, known, o.no, o.sink, o.got)
		}
		j.w.count.left += int(pending)
		return
	}
	// The source may itself have been declared dead, and not know or not have known it. Then
	// its sinks have forgotten what it had sent.
	if me := j.incarnations[o.n.ref]; !me.member || me.announcedDead || me.returned > o.began || j.superseded(o.n.ref) {
		return
	}
	x := j.incarnations[ring.Ref{ID: o.sink, Incarnation: o.sinkInc}]
	if !o.opened {
		// The present holder of the ID may have got it after the answer was given.
		if !errors.Is(err, stream.ErrNoSuchNode) && !(errors.Is(err, errOutlived) && o.n.departing) {
			j.fail("stream %d from %v to %d ended before it opened: %v", o.no, o.n.ref, o.sink, err)
		}
		return
	}
	if x.mustExist() && x.announced <= o.began {
		j.fail("stream %d from %v to %v, which lives, ended: %v", o.no, o.n.ref, x.ref, err)
	}
}
