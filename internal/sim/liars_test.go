package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// liarsFrom is the first seed of the worlds with a member that passes nothing on, or not all. It
// begins when the ring has settled. So until then the faults of all worlds must not make the
// registry name a member.
const liarsFrom = 7_000_000_000

// TestSimulationOfLiars runs worlds with a liar. It must be found and led around, so that all
// messages arrive, and no other may be named. Then members come and die around it.
func TestSimulationOfLiars(t *testing.T) { simulate(t, *simFrom-1+liarsFrom, 800) }

// lie is what a process does not pass on.
type lie uint8

const (
	honest    lie = iota
	all           // no frame
	data          // no message
	butTraces     // all but traces
	lies
)

// liars is the state of these worlds.
type liars struct {
	*rand.Rand
	lying bool
	rest  bool // there were no faults for so long that no route leads through a stub
}

func newLiars(seed uint64) *liars {
	return &liars{Rand: rand.New(rand.NewPCG(seed, 12))}
}

// swallows says whether a process drops a frame that it should pass on.
func (p *process) swallows(f wire.Frame) bool {
	switch p.lie {
	case all:
		return true
	case data:
		return f.Type() == wire.Data
	case butTraces:
		return f.Type() != wire.Trace && f.Type() != wire.Traced
	}
	return false
}

func stubIDs(l *membership.NodeView) (ids []uint64) {
	for _, p := range l.Stubs {
		ids = append(ids, p.ID)
	}
	return ids
}

func isStub(a *membership.Authority, ref ring.Ref) bool {
	return slices.ContainsFunc(a.Sidelined(), func(s membership.Sidelined) bool { return s.Member.Ref() == ref })
}

// positionBefore returns the position of a member in the tables, or, of a stub, that of the member
// before it, and how many other members there are in the tables.
func positionBefore(tables []ring.Ref, self ring.Ref) (at, others int) {
	i, found := slices.BinarySearchFunc(tables, self.ID, func(r ring.Ref, id uint64) int { return cmp.Compare(r.ID, id) })
	if found {
		return i, len(tables) - 1
	}
	return (i - 1 + len(tables)) % len(tables), len(tables)
}

// reportStuck reports a stream on which nothing comes through, as a node does.
func (o *outStream) reportStuck() {
	w := o.n.w
	if w.liars == nil || o.over {
		return
	}
	switch silent := o.s.Silent(w.now); {
	case silent < membership.StuckAfter(w.lease):
		was := o.stuckAt
		o.stuckAt = 0
		other := slices.ContainsFunc(o.n.outs, func(x *outStream) bool { return x.sink == o.sink && x.stuckAt > 0 })
		if was > 0 && !other {
			o.n.sendControl(control.Stuck{ID: o.sink, Healed: true})
		}
	case o.stuckAt == 0 || w.now-o.stuckAt >= membership.StuckAgain(w.lease):
		o.stuckAt = w.now
		answered, complete := o.n.trace(o.sink)
		o.n.sendControl(control.Stuck{ID: o.sink, Answered: answered, Complete: complete, Silent: int64(silent / ms)})
	}
}

// trace is what a trace finds, if no frame is lost.
func (n *node) trace(to uint64) (answered []uint64, complete bool) {
	there, arrives := n.walk(to, wire.Trace)
	for _, x := range there {
		if _, back := x.walk(n.ref.ID, wire.Traced); back {
			answered = append(answered, x.ref.ID)
		}
	}
	return answered, arrives && len(answered) == len(there)
}

// walk returns the nodes that a frame comes to, and whether it comes to its sink.
func (n *node) walk(to uint64, t wire.Type) (path []*node, arrives bool) {
	f := wire.Frame(wire.Append(nil, wire.Header{Type: t, Dst: to, Src: n.ref.ID}, nil))
	for at := n; len(path) < len(n.w.processes); {
		if at != n && at.p.swallows(f) {
			return path, false
		}
		next := at.nextHop(to)
		if next == nil || next.over || next.p.state != running || !n.w.reach(at.p, next.p) {
			return path, false
		}
		path = append(path, next)
		if next.ref.ID == to {
			return path, true
		}
		at = next
	}
	return path, false
}

func (n *node) nextHop(to uint64) *node {
	id := to
	switch action, i := n.router.Next(to); action {
	case ring.Forward:
		id = n.router.Up[i]
	case ring.Detour:
		return n.waypoints[i].to
	case ring.Direct:
	default:
		return nil
	}
	for _, l := range n.links {
		if l.to.ref.ID == id {
			return l.to
		}
	}
	return nil
}

// ledAround is called when a registry names a member.
func (j *judge) ledAround(e membership.Effect) {
	j.w.count.named++
	if x := j.incarnations[e.Ref]; x.p.lie == honest {
		j.fail("%v is named, and passes everything on: %s (size %d, drop %v, lying %v)", e.Ref, e.Why, j.w.size, j.w.drop, j.w.liars.lying)
	}
}

// relayed is called when a node is about to pass a frame on.
func (j *judge) relayed(n *node, f wire.Frame) {
	x := j.w.liars
	if x == nil || !x.rest {
		return
	}
	for _, s := range j.w.registry.auth.Sidelined() {
		if s.Member.Ref() != n.ref || j.w.now-s.Since < j.w.lease {
			continue
		}
		j.fail("a %v frame from %d to %d comes to %v, which is a stub", f.Type(), f.Src(), f.Dst(), n.ref)
	}
}

// addLiar has a member lie, and waits until all messages have arrived in spite of it. Then members
// come and die around it, as often with the registry's tables in use.
func (w *world) addLiar() {
	x := w.liars
	if len(w.alive()) < 5 {
		return
	}
	list := w.alive()
	liar := list[x.IntN(len(list))]
	liar.lie, x.lying = lie(1+x.IntN(int(lies)-1)), true
	w.count.liars++
	w.logf("--- %s lies: %d", liar.addr, liar.lie)
	for range 3 {
		w.finalMessages()
		w.awaitOrderWithStubs()
		x.rest = true
		w.finalMessages()
		x.rest = false
		if w.judge.err != nil {
			return
		}
		all := w.neighbours(len(w.alive()))
		at := slices.Index(all, liar)
		switch before, behind := all[(at+len(all)-1)%len(all)], all[(at+1)%len(all)]; x.IntN(5) {
		case 0:
			before.die()
		case 1:
			behind.die()
		case 2:
			before.die()
			behind.die()
		case 3:
			w.crowd(1 + x.IntN(6))
			w.awaitOrderWithStubs()
		case 4:
			if before.node != nil && !before.node.departing {
				before.node.leave()
			}
		}
		w.until(w.now + w.jitter2(w.lease))
	}
	w.awaitOrderWithStubs()
}

// awaitOrderWithStubs waits until the ring is as it should be, with its stubs.
func (w *world) awaitOrderWithStubs() {
	start := w.now
	for why := w.judge.ideal(); why != "" && w.judge.err == nil; why = w.judge.ideal() {
		if w.now-start > w.settleLimit()+w.finishLimit() {
			w.judge.fail("%v after a member began to lie, or members came or died around it: %s", w.now-start, why)
		}
		w.until(w.now + w.lease/10)
	}
}
