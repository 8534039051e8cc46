package sim

import (
	"math/rand/v2"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// partedFrom is the seed from which on newcomers cannot reach all members, and some
// members are slow to be dialled: what a newcomer says of one peer comes before its word
// that it is linked.
const unreachableFrom = 2_000_000_000

// hindered is what is special about the worlds from [partedFrom] on.
type newcomerCuts struct {
	*rand.Rand
	refuse bool         // a dial that is cut fails at once, instead of after a timeout
	slow   map[int]Time // of a place: how much longer it takes to dial it
	cuts   map[int]int  // of a place: from how many others it is cut off for good
}

// maxCuts is from how many others a node may be cut off for good: from fewer than it has
// successors, or nothing leads on from it.
const maxCuts = 2

func newNewcomerCuts(seed uint64) *newcomerCuts {
	h := &newcomerCuts{Rand: rand.New(rand.NewPCG(seed, 6)), slow: make(map[int]Time), cuts: make(map[int]int)}
	h.refuse = h.IntN(3) > 0
	return h
}

// newcomers starts nodes that cannot reach some of the members for the time being, or for
// good, and makes other members slow.
func (w *world) newcomers(n int, good bool) {
	h := w.newcomerCuts
	old := w.alive()
	for range n {
		if len(w.alive()) >= most {
			return
		}
		p := w.spawn(nil)
		h.Shuffle(len(old), func(i, j int) { old[i], old[j] = old[j], old[i] })
		for _, q := range old {
			switch x := h.IntN(10); {
			case x < 3 && good:
				if max(h.cuts[p.place], h.cuts[q.place]) >= maxCuts {
					continue
				}
				h.cuts[p.place]++
				h.cuts[q.place]++
				w.cut[[2]int{p.place, q.place}] = true
				if x == 0 {
					w.cut[[2]int{q.place, p.place}] = true
				}
			case x < 3:
				w.cutFor(p, q, x == 0)
			case x < 6:
				h.slow[q.place] = Time(h.Int64N(int64(w.lease / 4)))
			}
		}
	}
}

// dialCut is how long it takes to find out that a process cannot be dialled.
func (w *world) dialCut() Time {
	if w.newcomerCuts != nil && w.newcomerCuts.refuse {
		return w.linkDelay()
	}
	return w.dialTimeout()
}

// slowness is how much longer than usual it takes to dial a process.
func (w *world) slowness(p *process) Time {
	if w.newcomerCuts == nil {
		return 0
	}
	return w.newcomerCuts.slow[p.place]
}

// hinder is the handicap of these worlds: newcomers that some members cannot reach, more
// of them, and then some of these die, so that what was not needed any more is needed
// again.
func (w *world) addCutNewcomers() {
	h := w.newcomerCuts
	if len(w.alive()) < 5 {
		return
	}
	for range 3 {
		before := len(w.processes)
		w.newcomers(1+h.IntN(3), true)
		w.awaitOrder()
		for _, p := range w.processes[before:] {
			if h.IntN(3) == 0 && p.state != dead && w.judge.err == nil {
				p.die()
			}
		}
		w.awaitOrder()
	}
}

// orderly waits until all that live are members, use what they were told, and the registry
// knows of each peer that one of them should have a link to and cannot reach.
func (w *world) awaitOrder() {
	start := w.now
	for w.judge.err == nil {
		w.until(w.now + w.lease/10)
		why := w.judge.unreported()
		if why == "" {
			return
		}
		if w.now-start > w.settleLimit() {
			w.judge.fail("%v after newcomers came or died: %s", w.now-start, why)
		}
	}
}

func (j *judge) unreported() string {
	a := j.w.registry.auth
	alive := j.w.alive()
	if missing := a.Missing(); len(missing) > 0 || a.Len() != len(alive) {
		return sprintf("%d members, %d processes, %v", a.Len(), len(alive), missing)
	}
	unreachable := make(map[[2]ring.Ref]bool)
	for _, p := range a.Parted() {
		unreachable[[2]ring.Ref{p.From.Ref(), p.To.Ref()}] = true
	}
	for _, p := range alive {
		n := p.node
		if n == nil || !n.ready || n.use.Epoch != n.local.Epoch {
			return sprintf("%s is not linked", p.addr)
		}
		for _, d := range n.dials {
			if d.failed != "" && !unreachable[[2]ring.Ref{n.ref, refOf(d.peer)}] {
				return sprintf("%v cannot reach %v, and the registry does not know", n.ref, refOf(d.peer))
			}
		}
	}
	return ""
}

// memory is what a registry was told of peers that cannot be reached, and must remember:
// of those in the table that it told the member last.
type reports struct {
	views    map[ring.Ref]*membership.Local // the table, by member
	standing map[[2]ring.Ref]bool
}

func newReports() reports {
	return reports{views: make(map[ring.Ref]*membership.Local), standing: make(map[[2]ring.Ref]bool)}
}

// tries says whether a member tries to reach a peer, by the table that it was told last.
func (m reports) tries(of ring.Ref) map[ring.Ref]bool {
	tries := make(map[ring.Ref]bool)
	if l := m.views[of]; l != nil {
		table, keep := l.Links(func(p control.Peer) bool { return !m.standing[[2]ring.Ref{of, refOf(p)}] })
		for _, p := range append(table, keep...) {
			tries[refOf(p)] = true
		}
	}
	return tries
}

// heard takes a member's word.
func (m reports) note(from, to ring.Ref, why string) {
	if why == "" {
		delete(m.standing, [2]ring.Ref{from, to})
		m.prune(from) // it may go no further than to this one
	} else if m.tries(from)[to] {
		m.standing[[2]ring.Ref{from, to}] = true
	}
}

// tell takes what the member is told. It says again what it cannot reach of a new table.
func (m reports) told(bits int, to ring.Ref, body any) {
	was := m.views[to]
	if was == nil {
		was = &membership.Local{Self: to, Bits: bits}
	}
	var now *membership.Local
	var err error
	switch b := body.(type) {
	case control.Manifest:
		now, err = was.Manifest(b)
	case control.Update:
		now, err = was.Update(b)
	default:
		return
	}
	if err != nil {
		return // the node will complain
	}
	m.views[to] = now
	m.prune(to)
}

// prune forgets what a member does not try any more.
func (m reports) prune(of ring.Ref) {
	tries := m.tries(of)
	for p := range m.standing {
		if p[0] == of && !tries[p[1]] {
			delete(m.standing, p)
		}
	}
}

// again takes note that a member is back, and will say all of it again.
func (m reports) reset(from ring.Ref) {
	for p := range m.standing {
		if p[0] == from {
			delete(m.standing, p)
		}
	}
}

// remembers holds what a registry remembers against what it was told.
func (j *judge) checkReports(r *registry) {
	unreachable := make(map[[2]ring.Ref]bool)
	for _, p := range r.auth.Parted() {
		unreachable[[2]ring.Ref{p.From.Ref(), p.To.Ref()}] = true
	}
	for p := range r.reports.standing {
		from, to := r.auth.State(p[0]), r.auth.State(p[1])
		if from == membership.Unknown || from == membership.Leaving || to == membership.Unknown || to == membership.OutOfSight {
			continue // one that leaves keeps the table and the detours that it has
		}
		if !unreachable[p] && r.reports.tries(p[0])[p[1]] {
			j.fail("%v said that it cannot reach %v, which is in its table, and the registry has forgotten it", p[0], p[1])
		}
	}
}
