package sim

import (
	"cmp"
	"slices"

	"github.com/x/ringdht/internal/ring"
)

// fault is an event that is injected at random.
type fault struct {
	name string
	calm bool // it is not really a fault
	do   func(w *world)
}

// most bounds the number of nodes.
const most = 28

var faults = []fault{
	{"a node joins", true, func(w *world) { w.crowd(1) }},
	{"a crowd joins", true, func(w *world) { w.crowd(2 + w.plan.IntN(7)) }},
	{"a node leaves", true, func(w *world) {
		if p := w.victim(); p != nil && p.node != nil && !p.node.departing && p.state == running {
			p.node.leave()
		}
	}},
	{"a node crashes", false, func(w *world) {
		if p := w.victim(); p != nil {
			p.die()
		}
	}},
	{"neighbours crash", false, func(w *world) {
		for _, p := range w.neighbours(2 + w.plan.IntN(2)) {
			p.die()
		}
	}},
	{"a process is replaced", false, func(w *world) {
		if p := w.victim(); p != nil {
			p.die()
			w.later(w.jitter2(w.lease/2), func() {
				x := w.spawn(p)
				if p.node != nil && w.chance(w.plan, 0.5) {
					x.join.want, x.join.patient = p.node.ref, 4
				}
			})
		}
	}},
	{"a short pause", false, func(w *world) { w.pauseFor(w.victim(), w.jitter2(w.lease/2)) }},
	{"a long pause", false, func(w *world) { w.pauseFor(w.victim(), w.lease/2+w.jitter2(3*w.lease)) }},
	{"neighbours pause", false, func(w *world) {
		d := w.jitter2(2 * w.lease)
		for _, p := range w.neighbours(3) {
			w.pauseFor(p, d)
		}
	}},
	{"a blip", false, func(w *world) {
		for range 1 + w.plan.IntN(3) {
			if p := w.victim(); p != nil && p.join.conn != nil {
				p.join.conn.blip()
			}
		}
	}},
	{"a pair is cut", false, func(w *world) { w.cutPair(true) }},
	{"a pair is cut one way", false, func(w *world) { w.cutPair(false) }},
	{"neighbours are cut", false, func(w *world) {
		if two := w.neighbours(2); len(two) == 2 {
			w.cutFor(two[0], two[1], w.chance(w.plan, 0.5))
		}
	}},
	{"cut off from the registry", false, func(w *world) {
		if p := w.victim(); p != nil {
			w.cutFor(p, w.registry.p, w.chance(w.plan, 0.7))
		}
	}},
	{"the registry cannot dial", false, func(w *world) {
		if p := w.victim(); p != nil {
			w.cutFor(w.registry.p, p, false)
		}
	}},
	{"a partition", false, func(w *world) {
		side := 1 + w.plan.IntN(3)
		var places []int
		for _, p := range w.alive() {
			if w.chance(w.plan, 0.4) && w.group[p.place] == 0 {
				w.group[p.place] = side
				places = append(places, p.place)
			}
		}
		w.allTroubled()
		w.later(w.jitter2(4*w.lease), func() {
			for _, place := range places {
				delete(w.group, place)
			}
			w.allTroubled()
			w.kick()
		})
	}},
	{"the registry crashes", false, func(w *world) {
		r := w.registry
		if r.p.state == dead {
			return
		}
		if r.p.state == stopped {
			r.p.state = running
		}
		r.p.die()
		w.later(w.jitter2(3*w.lease), func() {
			if w.registry.p.state == dead {
				w.startRegistry()
			}
		})
	}},
	{"the registry pauses", false, func(w *world) { w.pauseFor(w.registry.p, w.jitter2(4*w.lease)) }},
	{"a set-up", true, func(w *world) {
		w.size = pick(w.plan, 0, 1, 2, 3, 5)
		if kind(w.seed) == kind(fewestFrom) {
			w.size, w.fewest = pick(w.plan, w.size, 9, 30), pick(w.plan, true, true, false)
		}
		w.registry.setup(w.size)
	}},
}

// injectFault injects one of the world's faults.
func (w *world) injectFault() {
	if kind(w.seed) == kind(starvedFrom) && !w.calm && w.chance(w.plan, 0.3) {
		w.shortage()
		return
	}
	if x := w.rings; x != nil && x.rng.IntN(2) == 0 {
		f := ringFaults[x.rng.IntN(len(ringFaults))]
		w.logf("--- %s", f.name)
		w.count.faults++
		f.do(w)
		return
	}
	if x := w.security; x != nil && x.IntN(5) < 2 {
		f := secureFaults[x.IntN(len(secureFaults))]
		w.logf("--- %s", f.name)
		w.count.faults++
		f.do(w)
		return
	}
	if w.moving && !w.calm && w.chance(w.plan, 0.4) {
		x := moves[w.plan.IntN(len(moves))]
		w.logf("--- %s", x.name)
		w.count.faults++
		x.do(w)
		return
	}
	sum := 0
	for _, x := range w.weights {
		sum += x
	}
	if sum == 0 {
		return
	}
	n := w.plan.IntN(sum)
	for i, x := range w.weights {
		if n -= x; n < 0 {
			w.logf("--- %s", faults[i].name)
			w.count.faults++
			faults[i].do(w)
			return
		}
	}
}

// later is the world's own timer, for hosts and cables that come back.
func (w *world) later(d Time, f func()) {
	w.events.push(w.now+d, func() {
		if !w.quiet {
			f()
		}
	})
}

func (w *world) crowd(n int) {
	for range n {
		if len(w.alive()) < most {
			w.spawn(nil)
		}
	}
}

func (w *world) victim() *process {
	list := w.alive()
	if len(list) == 0 {
		return nil
	}
	return list[w.plan.IntN(len(list))]
}

// neighbours picks nodes with adjacent IDs.
func (w *world) neighbours(n int) (list []*process) {
	all := slices.DeleteFunc(w.alive(), func(p *process) bool { return p.node == nil })
	slices.SortFunc(all, func(a, b *process) int { return cmp.Compare(a.node.ref.ID, b.node.ref.ID) })
	if len(all) == 0 {
		return nil
	}
	at := w.plan.IntN(len(all))
	for i := range min(n, len(all)) {
		list = append(list, all[(at+i)%len(all)])
	}
	return list
}

func (w *world) pauseFor(p *process, d Time) {
	if p == nil || p.state != running {
		return
	}
	w.logf("%s stops for %v", p.addr, d)
	p.stop()
	w.later(d, func() {
		if p.state == stopped {
			w.logf("%s goes on", p.addr)
			p.wake()
		}
	})
}

func (w *world) cutPair(both bool) {
	if p, q := w.victim(), w.victim(); p != q {
		w.cutFor(p, q, both)
	}
}

func (w *world) cutFor(p, q *process, both bool) {
	if w.cut[[2]int{p.place, q.place}] || w.cut[[2]int{q.place, p.place}] {
		return
	}
	w.logf("%s cannot reach %s, both ways: %v", p.addr, q.addr, both)
	w.cut[[2]int{p.place, q.place}] = true
	if both {
		w.cut[[2]int{q.place, p.place}] = true
	}
	trouble := func() {
		if p.place == 0 || q.place == 0 {
			p.troubled, q.troubled = w.now, w.now
		}
	}
	trouble()
	w.later(w.jitter2(4*w.lease), func() {
		w.logf("%s can reach %s", p.addr, q.addr)
		delete(w.cut, [2]int{p.place, q.place})
		delete(w.cut, [2]int{q.place, p.place})
		trouble()
		w.kick()
	})
}

func (w *world) allTroubled() {
	for _, p := range w.processes {
		p.troubled = w.now
	}
}

// setup is the operator's set-up. After a restart it waits for the earlier members.
func (r *registry) setup(size int) {
	if r.p.state != running || r.auth.Len() == 0 {
		return
	}
	if !r.auth.Live() && r.gen > 1 && !r.auth.Recovering() && r.w.judge.survivors() {
		return
	}
	r.auth.Setup(r.w.now, ring.Layout{Fewest: r.w.fewest, K: size})
	r.step()
}
