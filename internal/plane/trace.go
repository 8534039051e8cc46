package plane

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// Hop is one answer to a trace.
type Hop struct {
	ID      uint64
	Elapsed time.Duration // between sending the trace and receiving the answer
}

// trace is a trace that waits for answers.
type trace struct {
	sink uint64

	mu    sync.Mutex
	start time.Time
	hops  map[int]Hop // by links crossed
	last  int         // links to the sink; 0 until the sink has answered
	err   error
	done  chan struct{}
	over  bool
}

// traceRepeat is how long a trace waits for missing answers before it asks again.
const traceRepeat = 500 * time.Millisecond

// Trace sends a frame to a sink, and every node on the way answers it, the sink included. If
// answers were lost, times are of the latest question.
func (p *Plane) Trace(ctx context.Context, sink uint64) ([]Hop, error) {
	if sink == p.Self {
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	t := &trace{sink: sink, hops: make(map[int]Hop), done: make(chan struct{})}
	nonce := rand.Uint64()
	p.mu.Lock()
	p.traces[nonce] = t
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.traces, nonce)
		p.mu.Unlock()
	}()
	ask := wire.Append(nil, wire.Header{Type: wire.Trace, Dst: sink, Src: p.Self, Seq: nonce}, nil)
	timer := time.NewTimer(traceRepeat)
	defer timer.Stop()
	for {
		t.mu.Lock()
		t.start = time.Now()
		t.mu.Unlock()
		if err := p.emit(sink, ask); err != nil {
			return nil, err
		}
		giveWay(ctx)
		select {
		case <-t.done:
			return t.result()
		case <-timer.C:
			timer.Reset(traceRepeat)
		case <-ctx.Done():
			return t.until(context.Cause(ctx))
		case <-p.ctx.Done():
			return t.until(context.Cause(p.ctx))
		}
	}
}

// until is the result when the wait ends for another reason: the whole trace if the last answer
// has come.
func (t *trace) until(why error) ([]Hop, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		why = t.err
	}
	return t.list(), why
}

func (t *trace) result() ([]Hop, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list(), t.err
}

// list needs mu.
func (t *trace) list() []Hop {
	var hops []Hop
	for _, i := range slices.Sorted(maps.Keys(t.hops)) {
		if t.last == 0 || i <= t.last {
			hops = append(hops, t.hops[i])
		}
	}
	return hops
}

// complete needs mu. Hops beyond the last belong to an earlier question that took another route.
func (t *trace) complete() bool {
	for i := 1; i <= t.last; i++ {
		if _, ok := t.hops[i]; !ok {
			return false
		}
	}
	return t.last > 0
}

// finish needs mu.
func (t *trace) finish() {
	if !t.over {
		t.over = true
		close(t.done)
	}
}

func (l *inLink) answerTrace(f wire.Frame, last bool) {
	l.answer(wire.Traced, f, wire.TracedBody{Hops: f.Hops(), Last: last}.Append(nil))
}

func (p *Plane) traceOf(nonce uint64) *trace {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.traces[nonce]
}

// traced handles a hop's answer.
func (p *Plane) traced(f wire.Frame) {
	b, err := wire.ParseTraced(f.Body())
	if err != nil || int(b.Hops) > p.HopLimit || b.Hops == 0 {
		p.counters.malformed.Add(1)
		return
	}
	t := p.traceOf(f.Seq())
	if t == nil {
		p.counters.stale.Add(1)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.hops[int(b.Hops)] = Hop{f.Src(), time.Since(t.start)}
	if b.Last {
		t.last = int(b.Hops)
	}
	if t.complete() {
		t.finish()
	}
}

func (p *Plane) traceRefused(f wire.Frame, b wire.NoRouteBody) {
	t := p.traceOf(f.Seq())
	if t == nil || b.Dst != t.sink {
		p.counters.stale.Add(1)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = stream.ErrNoSuchNode
	if b.Reason == wire.HopLimit {
		t.err = stream.ErrHopLimit
	}
	t.finish()
}
