package sim

import (
	"math/rand/v2"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// unreachableFrom is the first seed of the worlds in which newcomers cannot reach all
// members, and some members are slow to dial. So a newcomer reports a peer before it
// confirms its links.
const unreachableFrom = 2_000_000_000

// newcomerCuts is the state of the worlds from [unreachableFrom] on.
type newcomerCuts struct {
	*rand.Rand
	refuse bool         // a cut dial fails at once, not after a timeout
	slow   map[int]Time // by place: how much longer it takes to dial
	cuts   map[int]int  // by place: from how many others it is cut off for good
}

// maxCuts is from how many others a node may be cut off for good. They must be fewer than
// its successors, or it cannot route on.
const maxCuts = 2

func newNewcomerCuts(seed uint64) *newcomerCuts {
	h := &newcomerCuts{Rand: rand.New(rand.NewPCG(seed, 6)), slow: make(map[int]Time), cuts: make(map[int]int)}
	h.refuse = h.IntN(3) > 0
	return h
}

// newcomers starts nodes that cannot reach some of the members, for a while or for good, and
// makes other members slow to dial.
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

// addCutNewcomers is the handicap of these worlds. Newcomers that cannot reach some members
// come, then more of them, and then some die. So links that were not needed any more are
// needed again.
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

// awaitOrder waits until all living nodes are members and use what they were told, and the
// registry knows each pair that should have a link and cannot.
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
	if missing := a.Unsettled(); len(missing) > 0 || a.Len() != len(alive) {
		return sprintf("%d members, %d processes, %v", a.Len(), len(alive), missing)
	}
	unreachable := make(map[[2]ring.Ref]bool)
	for _, p := range a.Unreachable() {
		unreachable[[2]ring.Ref{p.From.Ref(), p.To.Ref()}] = true
	}
	for _, p := range alive {
		n := p.node
		if n == nil || !n.ready || n.use.Epoch != n.local.Epoch {
			return sprintf("%s is not linked", p.addr)
		}
		for _, d := range n.dials {
			if d.failed != "" && !unreachable[[2]ring.Ref{n.ref, d.peer.Ref()}] {
				return sprintf("%v cannot reach %v, and the registry does not know", n.ref, d.peer.Ref())
			}
		}
	}
	return ""
}

// reports are the reports of unreachable peers that a registry must remember: those about
// peers in the latest table of the reporter.
type reports struct {
	views    map[ring.Ref]*membership.NodeView // by member: the latest table
	standing map[[2]ring.Ref]bool
}

func newReports() reports {
	return reports{views: make(map[ring.Ref]*membership.NodeView), standing: make(map[[2]ring.Ref]bool)}
}

// tries lists the peers that a member tries to reach, by its latest table.
func (m reports) tries(of ring.Ref) map[ring.Ref]bool {
	tries := make(map[ring.Ref]bool)
	if l := m.views[of]; l != nil {
		table, keep := l.Links(func(p ring.Peer) bool { return !m.standing[[2]ring.Ref{of, p.Ref()}] })
		for _, p := range append(table, keep...) {
			tries[p.Ref()] = true
		}
	}
	return tries
}

// note takes note of a member's report.
func (m reports) note(from, to ring.Ref, why string) {
	if why == "" {
		delete(m.standing, [2]ring.Ref{from, to})
		m.prune(from) // it may try no successor after this one now
	} else if m.tries(from)[to] {
		m.standing[[2]ring.Ref{from, to}] = true
	}
}

// told takes note of what a member is told. The member reports anew which peers of a new
// table it cannot reach.
func (m reports) told(bits int, to ring.Ref, body any) {
	was := m.views[to]
	if was == nil {
		was = &membership.NodeView{Self: to, Bits: bits}
	}
	var now *membership.NodeView
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
		return // the node fails on it
	}
	m.views[to] = now
	m.prune(to)
}

// prune forgets reports about peers that a member does not try any more.
func (m reports) prune(of ring.Ref) {
	tries := m.tries(of)
	for p := range m.standing {
		if p[0] == of && !tries[p[1]] {
			delete(m.standing, p)
		}
	}
}

// reset forgets the reports of a member that is back, since it makes all of them again.
func (m reports) reset(from ring.Ref) {
	for p := range m.standing {
		if p[0] == from {
			delete(m.standing, p)
		}
	}
}

// checkReports compares what a registry remembers with what was reported to it.
func (j *judge) checkReports(r *registry) {
	unreachable := make(map[[2]ring.Ref]bool)
	for _, p := range r.auth.Unreachable() {
		unreachable[[2]ring.Ref{p.From.Ref(), p.To.Ref()}] = true
	}
	for p := range r.reports.standing {
		from, to := r.auth.State(p[0]), r.auth.State(p[1])
		if from == membership.Unknown || from == membership.Leaving || to == membership.Unknown || to == membership.Suspect {
			continue // a leaving member keeps its table and detours
		}
		if !unreachable[p] && r.reports.tries(p[0])[p[1]] {
			j.fail("%v said that it cannot reach %v, which is in its table, and the registry has forgotten it", p[0], p[1])
		}
	}
}
