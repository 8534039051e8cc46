package arc

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

var (
	exploreAll   = flag.Bool("explore", false, "explore the large settings too")
	exploreMost  = flag.Int("explore.states", 3_000_000, "states of a setting, at most")
	exploreTrace = flag.Bool("explore.trace", false, "print the way to the first fault")
)

// setting is a small world of which all interleavings are explored. Streams, connections, handlers,
// operations, and ends go on in any order. Joins are heard of at once: late lists cost time only.
type setting struct {
	name   string
	large  bool
	owners []uint64 // their positions: one for each
	joins  []uint64
	sends  [][]uint64 // for each source, points in order
	warm   bool       // the first message of the first source is handled before
	again  bool       // all messages are sent with Again
	budget            // of other events; join and send are not used
}

// steady is a source of chance without any: no wrong guess, no cut.
type steady struct{}

func (steady) Uint64() uint64 { return math.MaxUint64 }

// explorer visits the states of a setting, depth first.
type explorer struct {
	setting
	ids   map[[2]uint64]int32
	after [][]int32 // by state: those that follow
	rests []int32   // states in which nothing happens any more by itself
	path  []string
	full  bool
	err   error
}

// action is what may happen next.
type action struct {
	name string
	do   func(w *world)
}

func (x *explorer) begin() *world {
	w := newWorld(3)
	w.rng = rand.New(steady{})
	w.points = nil
	for _, points := range x.sends {
		w.points = append(w.points, points...)
	}
	slices.Sort(w.points)
	w.points = slices.Compact(w.points)
	w.budget, w.cuts = x.budget, maxCuts
	w.start(false)
	for _, at := range x.owners {
		w.add(true, []uint64{at})
	}
	for i := range x.sends {
		w.add(false, []uint64{uint64(i) << 40})
	}
	x.settle(w)
	if x.warm {
		w.procs[len(x.owners)].send(x.sends[0][0], x.again)
		x.settle(w)
	}
	return w
}

// settle lets all go on until nothing does.
func (x *explorer) settle(w *world) {
	for {
		x.tidy(w)
		all := x.goesOn(w)
		if len(all) == 0 {
			return
		}
		all[0].do(w)
	}
}

// tidy does what is no choice: joins are heard of, and what is for a process that has ended is gone.
func (x *explorer) tidy(w *world) {
	for _, p := range w.procs {
		if !p.running {
			p.feed, p.handlers, p.ops = nil, nil, nil
			continue
		}
		for i := 0; i < len(p.feed); i++ {
			if e := p.feed[i]; e.ended == nil {
				p.feed = slices.Concat([]event{e}, p.feed[:i], p.feed[i+1:])
				p.hear()
				i = -1
			}
		}
	}
	for _, l := range w.active {
		if !l.to.running || l.to.heard[l.from.Life] {
			l.queue = nil
		}
	}
}

// goesOn lists what goes on by itself.
func (x *explorer) goesOn(w *world) (all []action) {
	add := func(do func(*world), format string, args ...any) {
		all = append(all, action{fmt.Sprintf(format, args...), do})
	}
	for i, l := range w.active {
		if len(l.queue) > 0 {
			add(func(w *world) { w.arrive(w.active[i]) }, "%v -> %v: %v", l.from, l.to, l.queue[0])
		}
	}
	for i, p := range w.procs {
		if !p.running {
			if slices.Contains(w.listed, p) && w.auth != nil && !w.auth.recovering {
				add(func(w *world) { w.end(w.procs[i], false) }, "the end of %v is noticed", p)
			}
			continue
		}
		if len(p.feed) > 0 {
			add(func(w *world) { w.procs[i].hear(); w.judge.holders(w.procs[i]) }, "%v hears of the end of %v", p, p.feed[0].ended)
		}
		if w.auth != nil && !p.over && p.conn == nil {
			add(func(w *world) { w.connect(w.procs[i]) }, "%v reports", p)
		}
		if p.conn != nil && len(p.conn.up) > 0 {
			add(func(w *world) { w.up(w.procs[i].conn) }, "%v -> registry: %v", p, p.conn.up[0])
		}
		if p.conn != nil && len(p.conn.down) > 0 {
			add(func(w *world) { w.down(w.procs[i].conn) }, "registry -> %v: %v", p, p.conn.down[0])
		}
		for k, h := range p.handlers {
			add(func(w *world) { w.procs[i].finish(k, false) }, "%v has handled %v", p, h.Message)
		}
		for k, o := range p.ops {
			add(func(w *world) { w.procs[i].operate(k) }, "%v: operation %d", p, o.op)
		}
		switch {
		case p.resting && len(p.list) > 0 && p.conn != nil && len(p.conn.up)+len(p.conn.down) == 0: // not while it waits for a No
			add(func(w *world) { w.procs[i].resting = false; w.procs[i].s.Retry() }, "%v asks again", p)
		case p.mayEnd && !p.over && !p.closing && p.s.Unanswered() == 0 && len(p.handlers) == 0:
			add(func(w *world) { w.procs[i].close() }, "%v closes", p)
		case p.closing && !p.over && p.closed():
			add(func(w *world) { w.leave(w.procs[i]) }, "%v leaves", p)
		}
	}
	if w.auth == nil {
		add(func(w *world) { w.start(true) }, "a registry starts")
	} else if w.auth.recovering && w.mayRecover() {
		add(func(w *world) { w.recovered() }, "the registry has recovered")
	}
	return all
}

// events lists what may happen from outside.
func (x *explorer) events(w *world) (all []action) {
	add := func(b *int, do func(*world), format string, args ...any) {
		if *b > 0 {
			all = append(all, action{fmt.Sprintf(format, args...), do})
		}
	}
	one := 1
	if n := len(w.procs) - len(x.owners) - len(x.sends); n < len(x.joins) && w.auth != nil && !w.auth.recovering {
		add(&one, func(w *world) { w.add(true, []uint64{x.joins[n]}) }, "an owner joins")
	}
	b := &w.budget
	for i, p := range w.procs {
		if !p.running {
			continue
		}
		if k := i - len(x.owners); k >= 0 && k < len(x.sends) && len(p.sent) < len(x.sends[k]) {
			add(&one, func(w *world) { w.procs[i].send(x.sends[k][len(w.procs[i].sent)], x.again) }, "%v sends", p)
		}
		if !p.offers {
			continue
		}
		if !p.retires && !p.over {
			add(&b.retire, func(w *world) { w.budget.retire--; w.retire(w.procs[i]) }, "%v retires", p)
		}
		add(&b.die, func(w *world) { w.budget.die--; w.die(w.procs[i]) }, "%v dies", p)
		if !p.over && w.auth != nil {
			add(&b.declare, func(w *world) { w.budget.declare--; w.end(w.procs[i], false) }, "%v is declared over, and lives", p)
		}
		if p.conn != nil {
			add(&b.lose, func(w *world) { w.budget.lose--; w.disconnect(w.procs[i]) }, "%v loses its connection", p)
		}
	}
	if w.auth != nil {
		add(&b.crash, func(w *world) { w.budget.crash--; w.crash() }, "the registry crashes")
	}
	return all
}

// visit explores what follows from a world, and returns its number.
func (x *explorer) visit(w *world) int32 {
	x.tidy(w)
	if w.judge.err != nil {
		x.fail(w.judge.err)
		return 0
	}
	key := fingerprint(w)
	if id, seen := x.ids[key]; seen {
		return id
	}
	if len(x.ids) >= *exploreMost {
		x.full = true
		return 0
	}
	id := int32(len(x.ids))
	x.ids[key] = id
	x.after = append(x.after, nil)
	all := x.goesOn(w)
	if len(all) == 0 {
		x.rests = append(x.rests, id)
		if w.judge.rest(); w.judge.err != nil {
			x.fail(w.judge.err)
			return id
		}
	}
	for _, a := range append(all, x.events(w)...) {
		v := w.clone()
		x.path = append(x.path, a.name)
		a.do(v)
		next := x.visit(v)
		if x.err != nil {
			return id
		}
		x.path = x.path[:len(x.path)-1]
		x.after[id] = append(x.after[id], next)
	}
	return id
}

func (x *explorer) fail(err error) {
	x.err = err
	if *exploreTrace {
		for _, line := range x.path {
			fmt.Println(line)
		}
	}
}

// stuck is the number of states from which no rest can be reached.
func (x *explorer) stuck() int {
	before := make([][]int32, len(x.after))
	for id, all := range x.after {
		for _, next := range all {
			before[next] = append(before[next], int32(id))
		}
	}
	reached := make([]bool, len(x.after))
	queue := slices.Clone(x.rests)
	for _, id := range queue {
		reached[id] = true
	}
	n := len(queue)
	for ; len(queue) > 0; queue = queue[1:] {
		for _, id := range before[queue[0]] {
			if !reached[id] {
				reached[id] = true
				queue = append(queue, id)
				n++
			}
		}
	}
	return len(x.after) - n
}

const middle = 1 << 62

var one, two = [][]uint64{{5}}, [][]uint64{{5, 5}} // messages of one source, to one point

// settings are explored to their end.
var settings = []setting{
	{name: "join", owners: []uint64{middle}, joins: []uint64{10}, sends: two},
	{name: "retire", owners: []uint64{10, middle}, sends: [][]uint64{{5, 5, 5}}, warm: true, budget: budget{retire: 1}},
	{name: "die", owners: []uint64{10, middle}, sends: two, budget: budget{die: 1}},
	{name: "die, again", owners: []uint64{10, middle}, sends: [][]uint64{{5, 5, 5}}, warm: true, again: true, budget: budget{die: 1}},
	{name: "join, die", owners: []uint64{middle}, joins: []uint64{10}, sends: two, warm: true, budget: budget{die: 1}},
	{name: "join, falsely dead", owners: []uint64{middle}, joins: []uint64{10}, sends: one, warm: true, budget: budget{declare: 1}},
	{name: "join, lose", owners: []uint64{middle}, joins: []uint64{10}, sends: two, warm: true, budget: budget{lose: 1}},
	{name: "join, crash", owners: []uint64{middle}, joins: []uint64{10}, sends: one, warm: true, budget: budget{crash: 1}},
	{name: "falsely dead", owners: []uint64{10, middle}, sends: one, again: true, budget: budget{declare: 1}},
	{name: "crash", owners: []uint64{10, middle}, sends: one, budget: budget{crash: 1}},

	{name: "large join, die", owners: []uint64{middle}, joins: []uint64{10}, sends: two, again: true, budget: budget{die: 1}, large: true},
	{name: "large join, falsely dead", owners: []uint64{middle}, joins: []uint64{10}, sends: one, budget: budget{declare: 1}, large: true},
	{name: "large join, lose", owners: []uint64{middle}, joins: []uint64{10}, sends: two, budget: budget{lose: 1}, large: true},
	{name: "large join, crash", owners: []uint64{middle}, joins: []uint64{10}, sends: one, budget: budget{crash: 1}, large: true},
	{name: "large join, retire", owners: []uint64{middle}, joins: []uint64{10}, sends: one, budget: budget{retire: 1}, large: true},
	{name: "large retire, lose", owners: []uint64{10, middle}, sends: two, warm: true, budget: budget{retire: 1, lose: 1}, large: true},
	{name: "large retire, crash", owners: []uint64{10, middle}, sends: two, warm: true, budget: budget{retire: 1, crash: 1}, large: true},
	{name: "large retire, die", owners: []uint64{10, middle}, sends: two, warm: true, budget: budget{retire: 1, die: 1}, large: true},
	{name: "large two joins", owners: []uint64{middle}, joins: []uint64{20, 10}, sends: two, warm: true, large: true},
	{name: "large two joins, die", owners: []uint64{middle}, joins: []uint64{20, 10}, sends: one, warm: true, budget: budget{die: 1}, large: true},
	{name: "large two sources", owners: []uint64{middle}, joins: []uint64{10}, sends: [][]uint64{{5}, {5}}, large: true},
	{name: "large two points", owners: []uint64{middle}, joins: []uint64{10}, sends: [][]uint64{{5, 50, 5}}, warm: true, large: true},
}

// TestExplore visits all states of small settings: no rule is broken in any of them, and from each one
// a state can be reached in which all is at rest.
func TestExplore(t *testing.T) {
	for _, s := range settings {
		if s.large && !*exploreAll || testing.Short() {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			x := &explorer{setting: s, ids: map[[2]uint64]int32{}}
			x.visit(x.begin())
			switch {
			case x.err != nil:
				t.Errorf("after %d states and %d steps: %v", len(x.ids), len(x.path), x.err)
			case x.full:
				t.Errorf("more than %d states", len(x.ids))
			default:
				if n := x.stuck(); n > 0 {
					t.Errorf("from %d of %d states there is no way to rest", n, len(x.ids))
				}
				t.Logf("%d states, %d at rest", len(x.ids), len(x.rests))
			}
		})
	}
}

// print gathers what a state is. Terms, numbers of operations, and seqs count by their order alone:
// each is written as its rank among those of its kind.
type print struct {
	words []uint64
	ranks map[uint64][]rank
}

type rank struct {
	value uint64
	at    int
}

func (f *print) add(words ...uint64) { f.words = append(f.words, words...) }

func (f *print) bools(all ...bool) {
	w := uint64(0)
	for _, b := range all {
		w = w<<1 | uint64(bit(b, 1))
	}
	f.add(w)
}

// ranked adds a value of which the order among those of its kind counts, and whether it is zero.
func (f *print) ranked(kind, value uint64) {
	f.ranks[kind] = append(f.ranks[kind], rank{value, len(f.words)})
	f.add(0)
}

func (f *print) sum() (h [2]uint64) {
	for _, all := range f.ranks {
		slices.SortFunc(all, func(a, b rank) int { return cmp.Compare(a.value, b.value) })
		n, last := uint64(0), uint64(0)
		for _, r := range all {
			if r.value != last {
				n, last = n+1, r.value
			}
			f.words[r.at] = n
		}
	}
	h = [2]uint64{1, 2}
	for _, w := range f.words {
		h[0] = bits.RotateLeft64((h[0]^w)*0x9e3779b97f4a7c15, 29)
		h[1] = bits.RotateLeft64((h[1]+w)*0xbf58476d1ce4e5b9, 31) ^ h[0]
	}
	return h
}
