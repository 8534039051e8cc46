package channel

import (
	"flag"
	"fmt"
	"testing"
)

var (
	simRuns = flag.Int("runs", 1000, "simulated worlds")
	simFrom = flag.Uint64("from", 1, "the seed of the first of them")
	simSeed = flag.Uint64("seed", 0, "simulate this world alone")
	first   = flag.Bool("first", false, "stop at the first world that fails")
	events  = flag.Bool("events", false, "print all that happens in it")
)

// run runs the world until nothing is left to happen.
func (w *world) run() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	for _, e := range w.ends {
		if w.rng.IntN(2) == 0 {
			e.answers = w.rng.IntN(w.budget.send + 1)
		}
	}
	for step := 0; w.err == nil; step++ {
		if step > 200_000 {
			w.fail("no end after %d steps", step)
		}
		if !w.step() && !w.last() {
			w.rest()
			break
		}
		for _, e := range w.ends {
			e.check()
		}
	}
	for _, e := range w.ends {
		n := e.c.Counters()
		w.totals.Repeated += n.Repeated
		w.totals.Duplicates += n.Duplicates
		w.totals.Gaps += n.Gaps
		w.totals.Again += e.again
	}
	return w.err
}

// step lets something happen by chance. It reports false if it finds nothing.
func (w *world) step() bool {
	b := &w.budget
	for range 20 {
		e := w.ends[w.rng.IntN(2)]
		if w.rng.IntN(100) < w.lag {
			if e.arrive() {
				return true
			}
			continue
		}
		switch w.rng.IntN(7) {
		case 0, 1:
			if b.send > 0 {
				for n := 1 + w.rng.IntN(8); n > 0 && b.send > 0; n-- {
					b.send--
					e.send()
				}
				return true
			}
		case 2, 3:
			if e.take() {
				return true
			}
		case 4:
			if b.cut > 0 && w.rng.IntN(3) == 0 {
				b.cut--
				e.cutStream()
				return true
			}
		case 5:
			if b.ask > 0 {
				b.ask--
				e.askPeer()
				return true
			}
			if b.foreign > 0 {
				b.foreign--
				e.foreign()
				return true
			}
		case 6:
			if e.news > 0 && w.rng.IntN(8) == 0 {
				e.news--
				e.tell()
				return true
			}
		}
	}
	for _, e := range w.ends { // all that is under way
		if e.take() || e.arrive() {
			return true
		}
	}
	return false
}

// last does what must come in the end: ends of streams are told, and each end asks.
func (w *world) last() bool {
	for _, e := range w.ends {
		if e.news > 0 {
			e.news--
			e.tell()
			return true
		}
	}
	w.totals.Rests++
	for _, e := range w.ends {
		// All was told, so the peer has all.
		if p := e.peer; p.delivered != len(e.sent) {
			w.fail("at rest %s has delivered %d of %d frames", p.name, p.delivered, len(e.sent))
		}
		if e.c.Unacknowledged() >= ackFrames || e.c.Held() >= ackBytes {
			w.fail("at rest %d frames of %s, %d bytes, are unacknowledged", e.c.Unacknowledged(), e.name, e.c.Held())
		}
		if n := e.c.Unacknowledged(); n > 0 {
			if e.c.Room(1) || !e.c.Pending() {
				w.fail("%s has %d frames unacknowledged, and does not ask", e.name, n)
			}
			return true
		}
	}
	return false
}

func (e *end) askPeer() {
	e.w.totals.Asked++
	e.w.log("%s asks", e.name)
	if e.c.Ask(); e.c.Unacknowledged() > 0 && !e.c.Pending() && len(e.link) == 0 && len(e.peer.link) == 0 && e.news == 0 && e.peer.news == 0 && !e.peer.c.Pending() {
		e.w.fail("%s asks, and nothing follows", e.name)
	}
}

// check judges an end between events.
func (e *end) check() {
	w, c, p := e.w, e.c, e.peer
	bytes, silent := 0, c.received-e.acknowledged
	for _, size := range e.sent[len(e.sent)-c.Unacknowledged():] {
		bytes += int(size) + lengthOf(int(size))
	}
	switch partial := bytes - c.Held(); {
	case len(e.sent)-c.Unacknowledged() > p.delivered:
		w.fail("%s takes %d frames for delivered, of which %s has delivered %d", e.name, len(e.sent)-c.Unacknowledged(), p.name, p.delivered)
	case c.Unacknowledged() == 0 && bytes != c.Held():
		w.fail("%s holds %d bytes of no frame", e.name, c.Held())
	case partial < 0 || c.Unacknowledged() > 0 && partial >= int(e.sent[len(e.sent)-c.Unacknowledged()])+lengthOf(int(e.sent[len(e.sent)-c.Unacknowledged()])):
		w.fail("%s holds %d bytes of %d frames, which have %d", e.name, c.Held(), c.Unacknowledged(), bytes)
	case cap(c.buf) > max(kept, 4*c.Held()):
		w.fail("%s has %d bytes of memory for %d", e.name, cap(c.buf), c.Held())
	case cap(c.part) > max(kept, 2*len(c.part)):
		w.fail("%s has %d bytes of memory for %d that have arrived in part", e.name, cap(c.part), len(c.part))
	case uint64(c.Partial()) != e.admitted:
		w.fail("%s has a frame of %d bytes in part, admitted %d", e.name, c.Partial(), e.admitted)
	case (e.silent >= ackFrames || silent >= ackBytes || e.owes) && !c.Pending():
		w.fail("%s has delivered %d frames, %d bytes, asked %v, and acknowledges nothing", e.name, e.silent, silent, e.owes)
	}
	if e.mustSay && !c.Pending() {
		w.fail("%s has found a gap, and says nothing", e.name)
	}
	n := c.Counters()
	switch {
	case n.Repeated > uint64(e.rewinds*e.mostHeld):
		w.fail("%s repeats %d bytes after %d ends and questions", e.name, n.Repeated, e.rewinds)
	case n.Duplicates > p.c.Counters().Repeated:
		w.fail("%s had %d duplicates of %d repeats", e.name, n.Duplicates, p.c.Counters().Repeated)
	case e.again > int(n.Gaps)+e.rewinds+e.ended:
		w.fail("%s says again %d times, for %d gaps and %d ends", e.name, e.again, n.Gaps, e.rewinds)
	case n.Gaps > 0 && p.ended+p.rewinds == 0:
		w.fail("%s finds %d gaps, and no stream has ended", e.name, n.Gaps)
	}
}

// rest judges a world in which nothing is left to happen.
func (w *world) rest() {
	for _, e := range w.ends {
		c := e.c
		if c.Held() != 0 || c.Partial() != 0 || c.Pending() || cap(c.buf) > kept {
			w.fail("at its end %s holds %d bytes, %d, has a part of %d, pending %v", e.name, c.Held(), cap(c.buf), c.Partial(), c.Pending())
		}
	}
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
		all.add(w.totals)
		if err != nil {
			t.Errorf("-seed %d: %v", seed, err)
			if failed++; *first {
				return
			}
		}
	}
	t.Logf("%+v", all)
	if runs >= 1000 && failed == 0 {
		for name, n := range map[string]int{"frames that are cut": all.Cut, "bodies alone": all.Alone, "lost bodies": all.Lost, "late news": all.Late,
			"early news": all.Early, "bodies not accepted": all.Refused, "questions": all.Asked, "words of gaps": all.Again, "gaps": int(all.Gaps)} {
			if n < 100 {
				t.Errorf("the worlds have %d %s", n, name)
			}
		}
	}
}
