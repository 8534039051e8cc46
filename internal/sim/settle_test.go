package sim

import (
	"fmt"

	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
)

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// settleLimit bounds how long a ring takes to settle after the last fault.
func (w *world) settleLimit() Time {
	// A ring that was set up by hand before all were back is forsaken by the others, too.
	if w.rings != nil || w.count.strangers > 0 { // until a ring is forsaken, and two graces
		return (membership.ForsakeLeases+4+8)*w.lease + 10*1000*ms
	}
	return 8*w.lease + 10*1000*ms
}

// finishLimit bounds how long it then takes until the next message is delivered. With two
// pairs cut, four dead links may follow each other on its way and back. Each is found dead
// a lease after its first use, and has a detour within half a lease more. The next retry, up
// to 2 seconds later, is the first to use the next link.
func (w *world) finishLimit() Time {
	if w.liars != nil && w.liars.lying { // until it is found, or all others on the way were tried in vain
		return Time(max(3, len(w.alive())))*(2*membership.StuckAfter(w.lease)+4*w.lease+10*1000*ms) + 4*(w.lease+w.lease/2+2*1000*ms)
	}
	return 4 * (w.lease + w.lease/2 + 2*1000*ms)
}

// settle ends all faults, and waits until the ring is as it should be.
func (w *world) settle() {
	w.logf("--- no more faults")
	w.quiet = true
	w.drop = 0
	clear(w.cut)
	clear(w.group)
	if w.rings != nil {
		w.rings.fails = 0
	}
	w.endImpostor()
	if w.registry.p.state == dead {
		w.startRegistry()
	}
	w.allTroubled()
	if w.registry.p.state == stopped {
		w.registry.p.wake()
	}
	for _, p := range w.alive() {
		if p.state == stopped {
			p.wake()
		}
	}
	w.kick()
	for len(w.alive()) < 2 {
		w.spawn(nil)
	}
	start, why := w.now, "?"
	for why != "" && w.judge.err == nil {
		w.until(w.now + w.lease/10)
		if !w.registry.auth.Live() && w.registry.auth.Len() == len(w.alive()) {
			w.registry.setup(w.size)
		}
		if (w.rings != nil || w.security != nil) && len(w.alive()) < 2 { // the others were about to leave
			w.spawn(nil)
		}
		if why = w.judge.ideal(); why != "" && w.now-start > w.settleLimit() {
			w.judge.fail("%v after the last fault: %s", w.now-start, why)
		}
	}
	w.settled = w.now - start
	w.finalMessages()
	w.checkOrder()
	if w.calm {
		w.checkForgotten()
	}
	if w.clocks != nil {
		w.checkRenewals()
	}
	if w.handicap != nothing && w.judge.err == nil {
		w.applyHandicap()
		w.finalMessages()
	}
}

// checkForgotten checks that no node keeps a stream from an incarnation that has left, in a
// world without faults.
func (w *world) checkForgotten() {
	limit := w.now + 2*w.lease
	for w.judge.err == nil {
		kept := ""
		for _, p := range w.alive() {
			for key, in := range p.node.in {
				if x := w.judge.incarnations[ring.Ref{ID: key.source, Incarnation: in.r.PeerIncarnation()}]; x.isOver() {
					kept = fmt.Sprintf("%v keeps the stream from %v, which has left", p.node.ref, x.ref)
				}
			}
		}
		if kept == "" {
			return
		}
		if w.now > limit {
			w.judge.fail("%s", kept)
		}
		w.until(w.now + w.lease/10)
	}
}

// handicap is a lasting fault with which all nodes must still reach all others.
type handicap uint8

const (
	nothing      handicap = iota
	registryAway          // the registry is dead, and up to three neighbours
	pairsCut              // some neighbours cannot reach each other
	newcomersCut          // newcomers cannot reach some members
	liarInside            // a member passes nothing on
)

func (w *world) applyHandicap() {
	w.logf("--- handicap %d", w.handicap)
	w.calm = false
	switch w.handicap {
	case registryAway:
		w.registry.p.die()
		for _, p := range w.neighbours(min(w.plan.IntN(4), len(w.alive())-2)) {
			p.die()
		}
	case pairsCut:
		if len(w.alive()) < 5 {
			return
		}
		for range 1 + w.plan.IntN(2) {
			if two := w.neighbours(2); !w.cut[[2]int{two[1].place, two[0].place}] {
				w.cut[[2]int{two[0].place, two[1].place}] = true
				if w.chance(w.plan, 0.5) {
					w.cut[[2]int{two[1].place, two[0].place}] = true
				}
			}
		}
	case newcomersCut:
		w.addCutNewcomers()
	case liarInside:
		w.addLiar()
	}
	w.until(w.now + w.lease)
}

// finalMessages has all nodes send once more, and waits until all is delivered.
func (w *world) finalMessages() {
	if w.judge.err != nil {
		return
	}
	w.logf("--- the final messages")
	start, handled := w.now, 0
	for _, p := range w.alive() {
		n := p.node
		if n == nil {
			continue // the loop below reports it
		}
		for range min(4, n.local.Others.Len()) {
			sink := n.local.Others.At(w.talkers.IntN(n.local.Others.Len())).ID
			if !w.judge.isThere(sink) {
				continue // it is dead, and the registry is away: its end is not announced
			}
			for port := range uint8(ports) {
				o := n.outTo(sink, port)
				if o == nil {
					o = n.openTo(sink, port)
				}
				o.push()
				o.sendAdmitted()
			}
		}
	}
	skip := make(map[*outStream]bool)
	for w.judge.err == nil {
		waits, birth := (*outStream)(nil), false
		for _, p := range w.alive() {
			if p.node == nil && p.renewing {
				birth = true
				continue
			}
			if p.node == nil {
				w.judge.fail("%s has no incarnation any more", p.addr)
				return
			}
			for _, o := range append([]*outStream(nil), p.node.outs...) {
				if !w.judge.isThere(o.sink) || skip[o] {
					continue
				}
				if o.s.Pending() > 0 {
					waits = o
					o.send(o.s.Flush(w.now, nil))
				} else if o.s.State() == stream.Opening {
					waits = o
				}
			}
		}
		if waits == nil && !birth {
			break
		}
		if w.count.delivered > handled {
			start, handled = w.now, w.count.delivered
		}
		if waits == nil && w.now-start > w.finishLimit() {
			w.judge.fail("a node whose incarnation was too small gets no other")
			return
		}
		if w.now-start > w.finishLimit() && w.registry.p.state == dead && w.judge.superseded(waits.n.ref) {
			skip[waits] = true // only a registry gives incarnations
			continue
		}
		if w.now-start > w.finishLimit() {
			w.judge.fail("stream %d from %v to %d/%d is stuck in state %d with %d pending", waits.no, waits.n.ref, waits.sink, waits.sinkInc, waits.s.State(), waits.s.Pending())
		}
		w.until(w.now + 50*ms)
	}
	for _, o := range w.judge.streams {
		if !o.over && !skip[o] && !o.n.p.outlaw && w.judge.isThere(o.sink) && (int(o.acked) != len(o.pushed) || o.got != len(o.pushed)) {
			w.judge.fail("%d of %d messages of stream %d from %v to %d were handled, %d are said to be", o.got, len(o.pushed), o.no, o.n.ref, o.sink, o.acked)
		}
	}
}

// checkOrder waits once more until the ring is as it should be. A fault just before the end
// may not have been noticed yet when the ring settled.
func (w *world) checkOrder() {
	limit := w.now + 2*w.lease
	if w.count.renewals > 0 {
		limit = w.now + w.settleLimit()
	}
	for why := w.judge.ideal(); why != "" && w.judge.err == nil; why = w.judge.ideal() {
		if w.now > limit {
			w.judge.fail("the ring did not stay settled: %s", why)
		}
		w.until(w.now + w.lease/10)
	}
}
