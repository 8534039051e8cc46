package main

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/x/ringdht/internal/ring"
)

// plan is a rule for the offsets of k entries in a ring of n nodes.
type plan struct {
	name   string
	layout func(k int) ring.Layout
}

var plans = []plan{
	{"classic", func(k int) ring.Layout { return ring.Layout{K: k} }},
	{"best", func(k int) ring.Layout { return ring.Layout{K: k, Fewest: true} }},
}

// row holds the results for one ring with one plan.
type row struct {
	nodes   int
	plan    string
	offsets ring.Offsets
	mean    float64
	hops    []int // the number of distances at each number of hops
	lagging int   // the most hops if any entries lag
	lived   *lived
}

// most returns the hops of the longest route.
func (r *row) most() int { return len(r.hops) - 1 }

func newRow(n, k int, p plan, simulate int, seed uint64) row {
	layout := p.layout(k).For(n)
	o := layout.Offsets
	r := row{nodes: n, plan: p.name, offsets: o, mean: o.MeanHops(n), hops: o.Histogram(n), lagging: o.LaggingHops(n)}
	if n <= simulate {
		r.lived = live(n, layout, seed, walkAll)
	}
	return r
}

// lived holds the results of the simulation.
type lived struct {
	mean             float64 // of the hops, after entries have drifted
	most             int
	relayed          [3]float64 // by the idlest, the median and the busiest node, per frame that it sends
	all              bool       // all routes were walked, so relayed is meaningful
	death, join, new float64    // entries sent per death and per join at constant size, and per join while the ring grows
}

const (
	bits    = 63
	walkAll = 10_000   // the largest ring in which all routes are walked
	walked  = 40 << 20 // about so many walked routes in larger rings
)

// live simulates a ring with random IDs: half of its nodes are replaced, and then it grows by
// half. In rings of at most all nodes, all routes are walked.
func live(n int, layout ring.Layout, seed uint64, all int) *lived {
	w := &world{rng: newRand(seed, n), layout: layout, plans: ring.NewPlans()}
	few := max(1, n/1000)
	if n > all { // larger rings would take too long
		few = n / 100
	}
	w.change(0, n)
	l := &lived{all: n <= all}
	told := [2]int{}
	turns := max(1, n/2/few)
	for range turns {
		told[0] += w.change(0, few)
		told[1] += w.change(few, 0)
	}
	events := float64(turns * few)
	l.join, l.death = float64(told[0])/events, float64(told[1])/events
	w.walk(l)
	grown := 0
	for range turns {
		grown += w.change(0, few)
	}
	l.new = float64(grown) / events
	return l
}

func newRand(seed uint64, n int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(n))) }

// world is a ring without nodes: its members, and the tables that they were sent.
type world struct {
	rng          *rand.Rand
	incarnations uint64
	members      []ring.Member // by ID
	layout       ring.Layout
	plans        *ring.Plans
}

// change lets so many members die and so many join. It returns how many entries are sent,
// including the tables of the new members.
func (w *world) change(deaths, joins int) (told int) {
	for deaths = min(deaths, len(w.members)-2); deaths > 0; {
		if m := &w.members[w.rng.IntN(len(w.members))]; m.Incarnation > 0 {
			m.Incarnation = 0
			deaths--
		}
	}
	fresh := make([]ring.Member, joins)
	for i := range fresh {
		w.incarnations++
		fresh[i] = ring.Member{Peer: ring.Peer{ID: w.rng.Uint64() >> (64 - bits), Incarnation: w.incarnations}}
	}
	byID := func(a, b ring.Member) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(fresh, byID)
	merged := make([]ring.Member, 0, len(w.members)+joins)
	for _, m := range w.members {
		for len(fresh) > 0 && fresh[0].ID < m.ID {
			merged, fresh = append(merged, fresh[0]), fresh[1:]
		}
		if m.Incarnation > 0 {
			merged = append(merged, m)
		}
	}
	// Two equal IDs are too rare to matter.
	w.members = slices.CompactFunc(append(merged, fresh...), func(a, b ring.Member) bool { return a.ID == b.ID })
	w.layout = w.layout.For(len(w.members))
	for _, c := range w.plans.Update(w.members, w.layout.Offsets, false) {
		told += len(c.Slots)
	}
	return told
}

// walk walks the routes through the tables.
func (w *world) walk(l *lived) {
	n := len(w.members)
	ids, tables := make([]uint64, n), make([][]uint64, n)
	for i, m := range w.members {
		ids[i] = m.ID
		view, _ := w.plans.View(m.ID)
		tables[i] = make([]uint64, len(view.Entries))
		for e, ref := range view.Entries {
			tables[i][e] = ref.ID
		}
	}
	sinks := n
	if !l.all {
		sinks = walked / n
	}
	r := ring.Walk(ring.Mask(bits), ids, tables, sinks)
	if r.Unreachable > 0 {
		panic("a route that does not arrive") // no plan makes such tables
	}
	l.mean, l.most = r.MeanHops, r.MaxHops
	slices.Sort(r.Relayed)
	for i, at := range []int{0, n / 2, n - 1} {
		l.relayed[i] = float64(r.Relayed[at]) / float64(n-1)
	}
}
