package sim

import (
	"math/rand/v2"

	"github.com/x/ringdht/internal/ring"
)

// clocksFrom is the seed from which on the clocks of registries disagree.
const clocksFrom = 3_000_000_000

// newWall is the time of day at the next registry, less the time that has passed. It is
// never before the first incarnation could be.
func (w *world) newWall() uint64 {
	const day = 86_400_000 * ms
	if w.clocks == nil {
		return wall
	}
	return wall + uint64(pick[Time](w.clocks, 0, -day, day, -2000*ms, -5*day)+5*day)
}

func newClocks(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

const wall = 1_700_000_000_000_000_000

// learnInc takes note of an incarnation, see [membership.Request].
func (p *process) learnInc(inc uint64) { p.maxInc = max(p.maxInc, inc) }

func (n *node) learnIncs() {
	for _, list := range [][]ring.Peer{n.local.Entries, n.local.Successors, n.local.Hold} {
		for _, p := range list {
			n.p.learnInc(p.Incarnation)
		}
	}
	for _, o := range n.local.Over {
		n.p.learnInc(o.Incarnation)
	}
}

// maxRenewals bounds the incarnations that a process begins because sinks remember later
// ones.
const maxRenewals = 6

// refusedFor handles a refusal by a sink that remembers a later incarnation of this ID.
func (o *outStream) refusedFor(later uint64) {
	n := o.n
	n.p.learnInc(later)
	switch {
	case n.departing:
		o.fail(errOutlived)
	case n.firstEpoch == 0 || n.p.join.conn == nil:
		// It tries again when the registry has told it a table.
	default:
		if n.p.renewals++; n.p.renewals > maxRenewals {
			n.w.judge.fail("%s begins one incarnation after the other, now for %d", n.p.addr, later)
			return
		}
		n.w.logf("%v was refused for incarnation %d", n.ref, later)
		n.w.count.renewals++
		n.p.join.conn.closeAtNode()
		n.p.join.conn = nil
		n.p.join.want, n.p.join.patient = n.ref, 3
		n.p.renewing = true
		n.end("outlived")
		n.p.attempt(n.w.jitter(n.w.lease / 16))
	}
}

// replaceBoth kills a registry and a member, and others take their places at once: a
// registry with a clock that is behind, and a member with the same ID. The new member is
// admitted before the members come back that remember its earlier incarnation.
func (w *world) replaceBoth() {
	old := w.registry
	p := w.victim()
	if p == nil || p.node == nil || p.state != running || old.p.state != running || len(w.alive()) < 3 {
		return
	}
	w.logf("--- the registry and %v are replaced", p.node.ref)
	w.count.faults++
	old.p.die()
	p.die()
	w.startRegistry()
	w.registry.wall = old.wall - uint64(w.clocks.Int64N(1000_000*ms))
	x := w.spawn(p)
	x.join.want, x.join.patient = p.node.ref, 10
	for _, q := range w.alive() {
		if way := [2]int{q.place, 0}; q != x && !w.cut[way] {
			w.cut[way] = true
			q.troubled = w.now
			w.later(w.lease/2+Time(w.clocks.Int64N(int64(w.lease))), func() {
				delete(w.cut, way)
				q.troubled = w.now
				w.kick()
			})
		}
	}
}

// checkRenewals has the nodes send again whose incarnation was too small for the final
// messages. One further incarnation must be enough.
func (w *world) checkRenewals() {
	const rounds = 3 // in one round a node may not send to the sinks that remember
	for range rounds {
		total := w.count.renewals
		before := make(map[*process]int)
		for _, p := range w.alive() {
			before[p] = p.renewals
		}
		w.finalMessages()
		w.checkOrder()
		for _, p := range w.alive() {
			if p.renewals > before[p] && p.settled {
				w.judge.fail("%s has another incarnation, which is too small again", p.addr)
			}
			p.settled = p.settled || p.renewals > before[p]
		}
		if w.count.renewals == total {
			return
		}
	}
}
