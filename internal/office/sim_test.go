package office

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	simRuns = flag.Int("runs", 2000, "simulated worlds")
	simFrom = flag.Uint64("from", 1, "the seed of the first of them")
	simSeed = flag.Uint64("seed", 0, "simulate this world alone")
	first   = flag.Bool("first", false, "stop at the first world that fails")
	events  = flag.Bool("events", false, "print all that happens in it")
)

// totals says what the worlds had.
type totals struct {
	Decisions, Tables, Admitted, Over, Elected, Own, HandedOver, Raised, Founded        int
	States, GivenUp, OtherRing, LowerTerms, Forsaken, Redirects, LostAnswers, LateCalls int
	Restored, Wiped                                                                     int
}

// newWorld draws a world: three registries, and five to ten nodes.
func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 21))
	w := &world{rng: rng, log: func(string, ...any) {}, lease: 5 * time.Second}
	w.judge = &judge{w: w, lives: map[uint64]uint64{}, doomed: map[uint64]bool{}, tables: map[tenure]time.Duration{}, terms: map[Term]int{}}
	w.ttl = w.lease/2 + w.upTo(w.lease)
	w.forsake = 6 * w.lease
	w.nasty = w.one(3)
	if w.one(2) {
		w.slow = 3 + rng.IntN(30)
		w.lost = 3 + rng.IntN(30)
	}
	w.store = &store{proc: w.process("store"), ends: map[uint64]time.Duration{}}
	day := time.Duration(0) // a floor of 0: what is stored decides
	if w.one(2) {
		day = 20_000 * 24 * time.Hour
	}
	for i := range 3 {
		r := &registry{proc: w.process(fmt.Sprintf("registry %d", i+1))}
		r.wall = day + w.upTo(time.Hour)
		w.regs = append(w.regs, r)
	}
	foreign := w.one(6)
	for i := range 5 + rng.IntN(6) {
		n := &node{proc: w.process(fmt.Sprintf("node %d", i+1)), foreign: foreign && i == 4}
		w.nodes = append(w.nodes, n)
	}
	for _, r := range w.regs {
		r.start()
	}
	for _, n := range w.nodes {
		n.down = true
		start := w.upTo(3 * w.lease)
		if w.one(3) {
			start = w.upTo(30 * w.lease)
		}
		if n.foreign {
			start = 8*w.lease + w.upTo(20*w.lease)
		}
		w.after(start, func() {
			if n.down {
				n.begin()
			}
		})
	}
	for range 1 + rng.IntN(10) {
		w.after(5*w.lease+w.upTo(25*w.lease), func() { w.fault(foreign) })
	}
	if w.one(4) { // hand-overs, one after the other
		for range 10 {
			w.after(5*w.lease+w.upTo(25*w.lease), w.handOver)
		}
	}
	w.after(38*w.lease, w.heal)
	return w
}

// begin starts a node, that of another ring with what it has from there.
func (n *node) begin() {
	n.start()
	if n.foreign {
		n.identity, n.id, n.member = "other", n.w.rng.Uint64N(ids), Term(1).Number(1)
		n.seen = n.member
	}
}

// fault lets something go wrong for some time.
func (w *world) fault(foreign bool) {
	d := w.upTo(4 * w.lease)
	r, n := w.regs[w.rng.IntN(3)], w.nodes[w.rng.IntN(len(w.nodes))]
	if w.one(2) { // the one that matters
		for _, q := range w.regs {
			if q.o.Holding() && !q.down {
				r = q
			}
		}
	}
	switch w.rng.IntN(10) {
	case 0, 1:
		r.stop(d, w.one(2))
	case 2:
		w.excuse(n, d)
		n.stop(d, w.one(2))
	case 3:
		w.log("%v %v is cut off from the store for %v", w.now, r, d)
		w.cuts[r.at][w.store.at] = w.now + d
	case 4:
		w.log("%v %v is cut off from %v for %v", w.now, n, r, d)
		w.excuse(n, d)
		w.cuts[r.at][n.at] = w.now + d
	case 5:
		if !r.down {
			w.log("%v %v ends", w.now, r)
			r.crashes(d)
		}
	case 6:
		w.log("%v %v ends", w.now, n)
		n.conn, n.joined = nil, false
		n.crash()
		w.after(d, func() {
			if n.down {
				n.foreign = false
				n.start()
			}
		})
	case 7:
		w.handOver()
	case 8:
		w.log("%v the store is away for %v", w.now, d)
		w.store.away = max(w.store.away, w.now+d)
	case 9:
		if foreign || len(w.store.copies) == 0 {
			return
		}
		// Operators wait for the leases to end before they restore a store.
		d += w.ttl * 3 / 2
		w.store.away = max(w.store.away, w.now+d)
		old := w.store.copies[w.rng.IntN(len(w.store.copies))]
		if w.one(3) {
			w.totals.Wiped++
			w.judge.wiped = true
			old = Snapshot{}
		}
		w.totals.Restored++
		w.after(d, func() { w.store.restore(old) })
	}
}

// excuse notes a fault of a node: it may have been declared dead, and hear of that later.
func (w *world) excuse(n *node, d time.Duration) {
	n.excused = max(n.excused, w.now+d+4*w.lease+w.ttl)
}

func (r *registry) crashes(d time.Duration) {
	for _, c := range r.conns {
		c.toNode(func(n *node) { n.bye(c, "") })
		c.over = true
	}
	r.crash()
	r.w.after(d, func() {
		if r.down {
			r.start()
		}
	})
}

func (w *world) handOver() {
	for _, r := range w.regs {
		if q := w.regs[w.rng.IntN(3)]; !r.down && !r.still() && r != q && r.o.Holding() && !r.d.Recovering() {
			if r.o.HandOver(r.clocks(), q.name) {
				w.log("%v %v hands over to %v", w.now, r, q)
				return
			}
		}
	}
}

// heal ends all faults.
func (w *world) heal() {
	w.log("%v all is well again", w.now)
	w.calm = true
	w.cuts = [16][16]time.Duration{}
	w.store.away = min(w.store.away, w.now)
	for _, p := range w.procs {
		if p.still() {
			p.until = w.now
			p.resume()
		}
	}
	for _, r := range w.regs {
		if r.down {
			r.start()
		}
	}
	for _, n := range w.nodes {
		if n.down {
			n.begin()
		}
	}
	end := w.ttl*3/2 + 2*w.lease + 8*w.lease
	for _, n := range w.nodes {
		if n.foreign || w.judge.wiped {
			end += w.forsake
			break
		}
	}
	w.after(end, func() { w.judge.rest(); w.queue = nil })
}

func (w *world) run() error {
	for len(w.queue) > 0 && w.judge.err == nil {
		e := w.pop()
		w.now = e.at
		e.run()
	}
	return w.judge.err
}

func TestSimulation(t *testing.T) {
	from, runs := *simFrom, *simRuns
	if *simSeed != 0 {
		from, runs = *simSeed, 1
	}
	failed := 0
	runs = min(runs, mostRuns)
	if testing.Short() {
		runs = min(runs, 300)
	}
	var all totals
	for seed := from; seed < from+uint64(runs) && failed < 5; seed++ {
		w := newWorld(seed)
		w.totals = all
		if *events {
			w.log = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
		}
		err := w.run()
		all = w.totals
		if err != nil {
			t.Errorf("-seed %d: %v", seed, err)
			if failed++; *first {
				return
			}
		}
	}
	t.Logf("%+v", all)
	if all.Own*all.HandedOver*all.Raised*all.GivenUp*all.OtherRing*all.Forsaken*all.Redirects*all.LostAnswers*all.Wiped == 0 && runs >= 1000 && failed == 0 {
		t.Errorf("the worlds lack something: %+v", all)
	}
}
