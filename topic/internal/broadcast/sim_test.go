package broadcast

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
)

var (
	simRuns = flag.Int("runs", 2000, "simulated worlds")
	simFrom = flag.Uint64("from", 1, "the seed of the first of them")
	simSeed = flag.Uint64("seed", 0, "simulate this world alone")
	first   = flag.Bool("first", false, "stop at the first world that fails")
	events  = flag.Bool("events", false, "print all that happens in it")
)

// newWorld draws a world. Most are small, since most interleavings that matter are; one in fifty
// has up to 200 members.
func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 19))
	w := &world{rng: rng, byInc: map[uint64]*proc{}, byID: map[uint64][]*proc{}, links: map[[2]*proc]*link{}, log: func(string, ...any) {}}
	w.judge = &judge{w: w, at: map[*proc]*account{}}
	members := 2 + rng.IntN(9)
	switch {
	case seed%50 == 0:
		members = 20 + rng.IntN(181)
	case seed%5 == 0:
		members = 10 + rng.IntN(20)
	}
	w.idSpace = uint64(members) * (2 + rng.Uint64N(10))
	w.lag = 1 + rng.IntN(60)
	w.budget = budget{publish: 1 + rng.IntN(40), join: members + rng.IntN(1+members/2), bulk: 1}
	for _, b := range []*int{&w.budget.leave, &w.budget.die, &w.budget.declare, &w.budget.cut, &w.budget.settle} {
		if rng.IntN(2) == 0 {
			*b = rng.IntN(1 + members/2)
		}
	}
	w.budget.cut *= 4
	if rng.IntN(4) == 0 {
		w.budget.bulk = 30
	}
	w.maxSteps = 3_000_000
	w.once = seed%2 == 1
	return w
}

// run runs the world until nothing is left to happen.
func (w *world) run() error {
	pace := 1 + w.rng.IntN(60) // of so many steps one is an event
	for range 1 + w.rng.IntN(w.budget.join) {
		w.budget.join--
		w.join()
	}
	for step := 0; step < w.maxSteps && w.judge.err == nil; step++ {
		if w.rng.IntN(pace) == 0 && w.event() {
			continue
		}
		if !w.progress() && !w.event() && !w.end() {
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
	choices := []*int{&b.publish, &b.join, &b.leave, &b.die, &b.declare, &b.cut, &b.settle}
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
	if what == &b.join {
		w.join()
		return
	}
	if len(w.procs) == 0 {
		return
	}
	p := w.procs[w.rng.IntN(len(w.procs))]
	if !p.running {
		return
	}
	switch what {
	case &b.publish:
		for range 1 + w.rng.IntN(b.bulk) {
			if body := content(p.Incarnation, p.published+1); p.n.Room(len(body)) {
				p.published++
				w.log("%v publishes %d", p, p.published)
				if got := p.n.Publish([]byte(body)); got != p.published {
					w.judge.fail("%v publishes %d as %d", p, p.published, got)
				}
			}
		}
	case &b.leave:
		if p.listed() {
			w.unlist(p, true)
		}
	case &b.die:
		w.die(p)
	case &b.declare: // falsely
		if p.listed() {
			p.falselyDead = true
			w.unlist(p, false)
		}
	case &b.cut:
		if len(w.streams) > 0 {
			w.cut(w.streams[w.rng.IntN(len(w.streams))])
		}
	case &b.settle:
		if p.n.standing {
			w.log("%v asks whether all is settled", p)
			p.n.Settle()
		}
	}
}

// cut ends a stream, though both ends may live.
func (w *world) cut(l *link) {
	switch {
	case l.from.running && l.to.running:
		w.log("the stream %v -> %v ends", l.from, l.to)
		w.cuts++
		for n := w.rng.IntN(len(l.queue) + 1); n > 0 && len(l.queue) > 0; n-- {
			w.arrive(l)
		}
		w.takeBack(l, w.rng.IntN(4))
	case l.from.running: // the source hears of that before its list changes
		w.drop(l)
	}
}

// progress lets one thing go on that is under way.
func (w *world) progress() bool {
	for range 2 {
		if w.rng.IntN(100) < w.lag {
			if p := w.procs[w.rng.IntN(len(w.procs))]; p.running && len(p.feed) > 0 {
				w.nextChange(p)
				return true
			}
		} else if len(w.active) > 0 {
			w.arrive(w.active[w.rng.IntN(len(w.active))])
			return true
		}
		if w.giveBack() || w.rng.IntN(50) == 0 && w.end() {
			return true
		}
	}
	// Nothing was found by chance: look at all.
	if len(w.active) > 0 {
		w.arrive(w.active[w.rng.IntN(len(w.active))])
		return true
	}
	for _, p := range w.procs {
		if p.running && len(p.feed) > 0 {
			w.nextChange(p)
			return true
		}
	}
	return w.end()
}

// giveBack calls a callback for undelivered frames.
func (w *world) giveBack() bool {
	p := w.procs[w.rng.IntN(len(w.procs))]
	if !p.running || len(p.returned) == 0 {
		return false
	}
	f := p.returned[0]
	p.returned = p.returned[1:]
	f()
	return true
}

// end does what must come in the end: callbacks, deaths that the registry notices, and the ends of
// those that leave.
func (w *world) end() bool {
	for _, p := range w.procs {
		if p.running && len(p.returned) > 0 {
			f := p.returned[0]
			p.returned = p.returned[1:]
			f()
			return true
		}
	}
	for _, p := range w.listed {
		if !p.running {
			w.unlist(p, false)
			return true
		}
	}
	for _, p := range w.procs {
		// The end of one that dies while it leaves is no change of the list. Streams to it end.
		if p.leaving && !p.gone && (!p.running || p.n.Unconfirmed() == 0) {
			w.log("%v has left, in good order %v", p, p.running)
			p.left, p.gone = p.running, true
			p.running = false
			for _, l := range w.streams {
				if l.to == p {
					w.drop(l)
				}
			}
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
	for seed := from; seed < from+uint64(runs) && failed < 5; seed++ {
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
	if len(all.rare()) > 0 && runs >= 1000 && failed == 0 { // fewer worlds may lack what is rare
		t.Errorf("the worlds have no %v: %+v", all.rare(), all)
	}
}

// totals says what the worlds had.
type totals struct {
	Members, Published, Delivered, Missed     int
	Died, FalselyDead, Left, DiedLeaving, Cut int
	Frames                                    [Need + 1]int
	Early, Returned, Skipped                  int
	Counters
}

func (t *totals) add(w *world) {
	t.Cut += w.cuts
	t.Skipped += w.skipped
	t.Missed += w.judge.missed
	t.Delivered += w.judge.delivered
	for _, p := range w.procs {
		t.Members++
		t.Published += int(p.published)
		t.Early += p.early
		t.Returned += p.cameBack
		for k, n := range p.frames {
			t.Frames[k] += n
		}
		t.TakenOver += p.n.TakenOver
		t.Repaired += p.n.Repaired
		t.Dropped += p.n.Dropped
		t.Refused += p.n.Refused
		switch {
		case p.left:
			t.Left++
		case p.gone:
			t.DiedLeaving++
		case p.falselyDead:
			t.FalselyDead++
		case !p.running:
			t.Died++
		}
	}
}

func (t *totals) rare() (names []string) {
	for name, n := range map[string]int{"deaths": t.Died, "false deaths": t.FalselyDead, "departures": t.Left, "deaths of those that leave": t.DiedLeaving,
		"ended streams": t.Cut, "gaps": t.Frames[Need], "settlements": t.Frames[Settle], "early questions": t.Early, "undelivered frames": t.Returned,
		"takeovers": int(t.TakenOver), "repairs": int(t.Repaired), "repairs that wait": t.Skipped, "missed messages": t.Missed} {
		if n < 20 {
			names = append(names, name)
		}
	}
	return names
}
