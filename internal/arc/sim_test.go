package arc

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

var (
	simRuns = flag.Int("runs", 2000, "simulated worlds")
	simFrom = flag.Uint64("from", 1, "the seed of the first of them")
	simSeed = flag.Uint64("seed", 0, "simulate this world alone")
	first   = flag.Bool("first", false, "stop at the first world that fails")
	events  = flag.Bool("events", false, "print all that happens in it")
)

// newWorld draws a world. Most are small, since most interleavings that matter are.
func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 20))
	w := &world{rng: rng, byLife: map[uint64]*proc{}, links: map[[2]*proc]*link{}, log: func(string, ...any) {}}
	w.judge = &judge{w: w, truth: map[uint64][]*msg{}, mayLose: map[uint64]bool{}, after: map[uint64][][]*msg{}, terms: map[[2]uint64]*proc{}, noHandle: map[[2]uint64]bool{}}
	for range 1 + rng.IntN(5) {
		w.points = append(w.points, w.place())
	}
	slices.Sort(w.points)
	w.points = slices.Compact(w.points)
	w.lag = 1 + rng.IntN(60)
	w.budget = budget{send: 1 + rng.IntN(30), join: rng.IntN(5), offer: rng.IntN(2)}
	if seed%20 == 0 {
		w.budget.join = 10 + rng.IntN(20)
	}
	for _, b := range []*int{&w.budget.retire, &w.budget.die, &w.budget.declare, &w.budget.crash, &w.budget.lose, &w.budget.fail, &w.budget.call} {
		if rng.IntN(2) == 0 {
			*b = rng.IntN(4)
		}
	}
	w.budget.call *= 3
	w.maxSteps = 200_000
	for i := range w.slow {
		if w.slow[i] = 1; rng.IntN(4) == 0 {
			w.slow[i] += rng.IntN(50)
		}
	}
	w.cuts = 1 + rng.IntN(maxCuts)
	if w.places = 1 << 30; seed%7 < 4 {
		w.places = 1
	}
	w.misled = seed%11 == 5
	if seed%13 == 7 { // a registry that comes and goes, slow operations, frames that are late
		w.budget.join, w.budget.crash, w.budget.lose = 3+rng.IntN(5), 2+rng.IntN(4), 3+rng.IntN(9)
		w.slow[4], w.late = 1+rng.IntN(60), 1+rng.IntN(100)
	}
	return w
}

// run runs the world until nothing is left to happen.
func (w *world) run() error {
	pace := 1 + w.rng.IntN(40) // of so many steps one is an event
	w.start(false)
	for range 1 + w.rng.IntN(3) {
		w.join(true)
	}
	for range w.rng.IntN(3) {
		w.join(false)
	}
	for step := 0; step < w.maxSteps && w.judge.err == nil; step++ {
		w.totals.Steps++
		if w.rng.IntN(pace) == 0 && w.event() {
			continue
		}
		if !w.progress() && !w.event() && !w.last() {
			w.judge.rest()
			return w.judge.err
		}
	}
	if w.judge.err == nil {
		w.judge.fail("no end after %d steps", w.maxSteps)
	}
	return w.judge.err
}

// event lets something happen from outside. It reports whether something is left that may.
func (w *world) event() bool {
	b := &w.budget
	choices := []*int{&b.send, &b.join, &b.offer, &b.retire, &b.die, &b.declare, &b.crash, &b.lose}
	left := 0
	for _, c := range choices {
		left += *c
	}
	if left == 0 {
		return false
	}
	at := w.rng.IntN(left)
	for _, c := range choices {
		if at < *c {
			*c--
			w.happen(c)
			break
		}
		at -= *c
	}
	return true
}

func (w *world) happen(what *int) {
	b := &w.budget
	switch what {
	case &b.join:
		if w.auth != nil && !w.auth.recovering {
			w.join(w.rng.IntN(4) > 0)
		}
		return
	case &b.crash:
		if w.auth != nil {
			w.crash()
		}
		return
	}
	p := w.procs[w.rng.IntN(len(w.procs))]
	if !p.running {
		return
	}
	switch what {
	case &b.send:
		point := w.points[w.rng.IntN(len(w.points))]
		for again, n := w.rng.IntN(3) == 0, 1+w.rng.IntN(4); n > 0 && !p.retires; n-- {
			m := p.send(point, again)
			w.log("%v sends %v, again %v", p, m, again)
		}
	case &b.offer:
		if !p.offers && !p.over {
			w.offer(p)
		}
	case &b.retire:
		if p.offers && !p.retires && !p.over {
			w.retire(p)
		}
	case &b.die:
		w.totals.Died++
		w.die(p)
	case &b.declare: // falsely
		if !p.over && w.auth != nil {
			w.totals.FalselyDead++
			w.end(p, false)
		}
	case &b.lose:
		if p.conn != nil {
			w.log("%v loses its connection", p)
			w.totals.Disconnected++
			w.disconnect(p)
		}
	}
}

// progress lets one thing go on that is under way, by chance.
func (w *world) progress() bool {
	for range 12 {
		if w.rng.IntN(100) < w.lag {
			if p := w.procs[w.rng.IntN(len(w.procs))]; p.running && len(p.feed) > 0 {
				p.hear()
				w.judge.holders(p)
				return true
			}
			continue
		}
		what, p := w.rng.IntN(8), w.procs[w.rng.IntN(len(w.procs))]
		if w.rng.IntN(w.slow[what]) == 0 && w.one(what, p) {
			return true
		}
	}
	w.idle = true // nothing was found by chance: look at all
	defer func() { w.idle = false }()
	for _, what := range w.rng.Perm(6) {
		for _, p := range w.procs {
			if w.one(what, p) {
				return true
			}
		}
	}
	return false
}

// one lets a thing of a kind go on, if there is one.
func (w *world) one(what int, p *proc) bool {
	switch what {
	case 0:
		return w.connect(p)
	case 1:
		return p.conn != nil && w.exchange(p.conn)
	case 2:
		if p.running && len(p.feed) > 0 {
			p.hear()
			w.judge.holders(p)
			return true
		}
	case 3:
		if p.running && len(p.handlers) > 0 {
			at := w.rng.IntN(len(p.handlers))
			for !p.handlers[at].begun && at > 0 && !p.o.Outdated(p.handlers[at].Point) { // one in front has
				at--
			}
			return p.finish(at, false)
		}
	case 4:
		if p.running && len(p.ops) > 0 && (w.late == 0 || w.auth != nil && !w.auth.recovering) {
			p.operate(w.rng.IntN(len(p.ops)))
			return true
		}
	case 5: // all streams
		at := 0
		if len(w.active) > 0 {
			at = w.rng.IntN(len(w.active))
		}
		var late *link
		for i := range w.active {
			l := w.active[(at+i)%len(w.active)]
			switch {
			case len(l.queue) == 0 || !l.from.knows[l.to.Life]:
			case w.late > 1 && l.from.Life%2 == 1 && w.rng.IntN(w.late) > 0:
				late = l
			default:
				w.arrive(l)
				return true
			}
		}
		if late != nil && w.idle {
			w.arrive(late)
			return true
		}
	default:
		return w.rng.IntN(40) == 0 && w.last()
	}
	return false
}

// last does what must come in the end: the registry starts again and its grace ends, deaths are
// noticed, sources ask again, operations are repeated, calls end, lives leave.
func (w *world) last() bool {
	if w.auth == nil {
		w.start(true)
		return true
	}
	if w.recovered() {
		return true
	}
	if w.auth.recovering {
		return false
	}
	for _, p := range w.listed {
		if !p.running {
			w.end(p, false)
			return true
		}
	}
	at := w.rng.IntN(len(w.procs))
	for i := range w.procs {
		p := w.procs[(at+i)%len(w.procs)]
		if !p.running {
			continue
		}
		switch {
		case p.resting && len(p.list) > 0:
			if p.retries++; p.retries%100 == 0 && p.endCall() { // what it asks for may wait for this
				return true
			}
			p.resting = false
			p.s.Retry()
			return true
		case p.o.Failed():
			p.o.Retry()
			w.judge.holders(p)
			return true
		case p.mayEnd && !p.over && !p.closing && p.s.Unanswered() == 0 && len(p.handlers) == 0:
			p.close()
			return true
		case p.closing && !p.over && p.closed():
			w.leave(p)
			return true
		}
		if p.endCall() {
			return true
		}
	}
	return false
}

func TestSimulation(t *testing.T) {
	from, runs := *simFrom, *simRuns
	if *simSeed != 0 {
		from, runs = *simSeed, 1
	}
	if testing.Short() {
		runs = min(runs, 300)
	}
	var all totals
	failed := 0
	whole := chunkSize
	defer func() { chunkSize = whole }()
	for seed := from; seed < from+uint64(runs) && failed < 5; seed++ {
		chunkSize = []int{2, 5, whole}[seed%3]
		w := newWorld(seed)
		if *events {
			w.log = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
		}
		err := w.run()
		all.add(w)
		if err != nil {
			t.Errorf("-seed %d: %v", seed, err)
			if failed++; *first {
				return
			}
		}
	}
	t.Logf("%+v", all)
	if len(all.rare()) > 0 && runs >= 1000 && failed == 0 {
		t.Errorf("the worlds have no %v: %+v", all.rare(), all)
	}
}

// totals says what the worlds had.
type totals struct {
	Steps, Messages, Handled, Unknown, Repeated, Refused   int
	Died, FalselyDead, Left, Offered, Retired, Crashed     int
	Disconnected, Failed, Impatient, Resumed, Lost, Parked int
	Moves, Merges, NotBegun                                int
	Frames                                                 [Closed + 1]int
}

func (t *totals) authority(a *Authority) {
	t.Moves += int(a.Moves)
	t.Merges += int(a.Merges)
}

func (t *totals) add(w *world) {
	x := w.totals
	if w.auth != nil {
		x.authority(w.auth)
	}
	for _, p := range w.procs {
		x.Refused += int(p.s.Refusals)
		x.Parked += int(p.o.Parked)
	}
	for i, v := range x.Frames {
		t.Frames[i] += v
	}
	for to, v := range map[*int]int{&t.Steps: x.Steps, &t.Messages: x.Messages, &t.Handled: w.judge.handledIn, &t.Unknown: x.Unknown, &t.Repeated: x.Repeated, &t.Refused: x.Refused,
		&t.Died: x.Died, &t.FalselyDead: x.FalselyDead, &t.Left: x.Left, &t.Retired: x.Retired, &t.Offered: x.Offered, &t.Crashed: x.Crashed,
		&t.Disconnected: x.Disconnected, &t.Failed: x.Failed, &t.Impatient: x.Impatient, &t.Resumed: x.Resumed, &t.Lost: x.Lost, &t.Parked: x.Parked, &t.Moves: x.Moves, &t.Merges: x.Merges, &t.NotBegun: x.NotBegun} {
		*to += v
	}
}

func (t *totals) rare() (names []string) {
	for name, n := range map[string]int{"messages": t.Messages, "unknown outcomes": t.Unknown, "repeats": t.Repeated, "refusals": t.Refused, "deaths": t.Died, "false deaths": t.FalselyDead,
		"departures": t.Left, "sources that begin to offer": t.Offered, "crashes of the registry": t.Crashed, "lost connections": t.Disconnected, "failed operations": t.Failed, "calls that end": t.Impatient,
		"resumed arcs": t.Resumed, "lost states": t.Lost, "parked asks": t.Parked, "moves": t.Moves, "merges": t.Merges, "handlers that do not begin": t.NotBegun} {
		if n < 20 {
			names = append(names, name)
		}
	}
	return names
}
