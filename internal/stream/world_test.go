package stream

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/x/ringdht/internal/wire"
)

const (
	sinkID = 1000
	tick   = TickInterval
)

// world is one sink node and some source nodes around a channel. The nodes do
// what package plane does, one thing after the other.
type world struct {
	rng     *rand.Rand
	now     Time
	net     channel
	ledger  *ledger
	sources []*sourceNode
	sink    *sinkNode
	wild    bool // else nodes only finish

	// How likely things are, per occasion.
	push, backlog, flush, ask, close float64
	restartSource, restartSink       float64
	leave                            float64
	behind                           float64 // a new incarnation of a source is smaller than the one before
	refuse, squeeze, noRoute         float64
	handle                           float64
	maxSize, maxBatch                int
	early, gather                    float64 // messages before a stream is open; admitted messages wait for others
	bundle                           int     // how long sources make bundles
	grants                           bool    // the sink takes bundles
	step                             Time
}

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// newWorld draws a world. Each kind of fault is absent from many worlds, so that the others
// show by themselves.
func newWorld(seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 0x51de))
	w := &world{
		rng: r, now: 1, ledger: newLedger(), wild: true,
		push: pick(r, 0.05, 0.3, 0.9), backlog: pick(r, 0, 0.2, 1), flush: pick(r, 0, 0.02, 0.3),
		ask: pick(r, 0, 0.05), close: pick(r, 0, 0.01, 0.05),
		restartSource: pick(r, 0, 0, 0.003), restartSink: pick(r, 0, 0, 0.003),
		refuse: pick(r, 0, 0, 0, 0.3), squeeze: pick(r, 0, 0, 0.3), noRoute: pick(r, 0, 0, 0, 0.0005),
		handle: pick(r, 0.05, 0.5, 1), maxBatch: pick(r, 1, 4, 1000),
		maxSize: pick(r, 0, 10, 200, 5000), step: pick[Time](r, 1, 5, 30) * 1e6,
	}
	w.net = channel{
		rng: r, drop: pick(r, 0, 0, 0.01, 0.1, 0.4), dup: pick(r, 0, 0, 0.02, 0.3), late: pick(r, 0, 0, 0.01, 0.1),
		base: pick[Time](r, 0, 1, 40, 300) * 1e6, jitter: pick[Time](r, 0, 1, 50) * 1e6, ordered: r.IntN(2) == 0,
	}
	n := pick(r, 1, 1, 2, 5)
	w.bundle, w.grants = pick(r, 0, 40, 300, wire.MaxBundle, wire.MaxBundle), r.IntN(8) > 0
	budget := wire.HeaderSize + max(w.maxSize, w.bundle) + pick(r, 0, 500, 5000, 100_000) // any frame fits
	w.sink = &sinkNode{w: w, inc: 1, budget: budget, in: make(map[uint64]*inboundSim)}
	switch r.IntN(4) {
	case 0:
		w.sink.window = func() int { return budget / max(1, len(w.sink.in)) }
	case 1:
		w.sink.window = func() int { return r.IntN(20_000) }
	case 2:
		w.sink.window = func() int { return pick(r, 0, 1, 40, 500, 60_000) }
	default:
		size := pick(r, 0, 100, 5000, MaxWindow)
		w.sink.window = func() int { return size }
	}
	w.leave = pick(r, 0, 0, 0.003, 0.02)
	for i := range n {
		w.sources = append(w.sources, &sourceNode{w: w, id: uint64(i + 1), inc: incarnationStep, top: incarnationStep})
	}
	w.behind = pick(r, 0, 0.5)
	w.early, w.gather = pick(r, 0, 0.5), pick(r, 0, 0.5, 0.9)
	return w
}

// Limits of virtual time once nothing is lost any more. Frames may still be under
// way for maxLate; a question is repeated every MaxRTO at the latest, and the
// answer to it brings again what is missing.
const (
	// finishLimit is for everything, at a sink with room.
	finishLimit = maxLate + 25*time.Second
	// stallLimit is for the next message, at a sink that has hardly any: there
	// one a round trip may be all that can be had.
	stallLimit = maxLate + 5*time.Second
)

// run lets the world be wild for a while and then finish. It returns how long finishing took
// (0 for a world without a limit) and the longest time without progress.
func (w *world) run() (finish, stall Time, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			if w.ledger.err != nil {
				err = fmt.Errorf("%w (and then %w)", w.ledger.err, err)
			}
		}
	}()
	for range 30 + w.rng.IntN(150) {
		w.turn()
	}
	w.wild = false
	w.net.calm()
	w.step = tick / 2
	roomy := w.rng.IntN(2) == 0
	if roomy {
		w.sink.budget += 1 << 20
		w.sink.window = func() int { return 32 << 10 }
	}
	start, last, progress := w.now, w.now, w.progress()
	for !w.finished() && w.ledger.err == nil {
		w.turn()
		if p := w.progress(); p != progress {
			stall = max(stall, w.now-last)
			progress, last = p, w.now
		}
		if roomy && w.now-start > finishLimit || w.now-last > stallLimit {
			for _, c := range w.sources {
				if c.s != nil && c.s.State() != Ended {
					w.ledger.fail("source %d is stuck in state %d with %d pending, %v after the channel calmed down and %v after the last progress",
						c.id, c.s.State(), c.s.Pending(), w.now-start, w.now-last)
				}
			}
			if w.sink.leaving > 0 {
				w.ledger.fail("the sink wants to leave since %v, and its sources do not confirm", w.now-w.sink.leaving)
			}
		}
	}
	if roomy {
		finish = w.now - start
	}
	return finish, stall, w.ledger.err
}

// maxPerTurn is far more frames than a turn of honest work takes.
const maxPerTurn = 50_000

// progress is a number that changes with everything that becomes known to a source.
func (w *world) progress() (n uint64) {
	for _, c := range w.sources {
		if c.s != nil {
			n += uint64(c.s.State()) + c.s.Delivered()
		}
	}
	return n + w.sink.inc
}

func (w *world) finished() bool {
	for _, c := range w.sources {
		if c.s != nil && c.s.State() != Ended {
			return false
		}
	}
	return w.sink.leaving == 0
}

func (w *world) turn() {
	w.now += w.step
	before := w.net.sent
	for f := w.net.next(w.now); f != nil && w.ledger.err == nil; f = w.net.next(w.now) {
		// Many channels have no delay, so an exchange that feeds itself never ends.
		if w.net.sent-before > maxPerTurn {
			w.ledger.fail("the nodes keep each other busy: %d frames at %v", w.net.sent-before, w.now)
		}
		switch {
		case f.Dst() != sinkID:
			w.sources[f.Dst()-1].receive(f)
		case w.wild && w.chance(w.noRoute):
			body := wire.NoRouteBody{Type: f.Type(), Reason: wire.NoSuchNode, Dst: sinkID}
			w.send(wire.Append(nil, wire.Header{Type: wire.NoRoute, Dst: f.Src(), Src: 77, Seq: f.Seq()}, body.Append(nil)))
		default:
			w.sink.receive(f)
		}
	}
	for _, c := range w.sources {
		if w.wild {
			c.act()
		} else {
			c.finish()
		}
		c.tick()
	}
	w.sink.act()
	for _, c := range w.sources {
		c.check()
	}
	if n := w.sink.used(); n > w.sink.budget {
		w.ledger.fail("the sink holds %d bytes of %d", n, w.sink.budget)
	}
}

func (w *world) send(frames []byte) {
	for len(frames) > 0 {
		var f wire.Frame
		f, frames = wire.Next(frames)
		w.net.send(w.now, f)
	}
}
