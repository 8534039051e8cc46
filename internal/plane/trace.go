package plane

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/trace"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/internal/workers"
)

// traceRepeat is how long a trace waits for missing answers before it asks again.
const traceRepeat = 500 * time.Millisecond

// Trace sends a frame to a sink, and every node on the way answers it, the sink included. If
// answers were lost, times are of the latest question.
func (p *Plane) Trace(ctx context.Context, sink uint64) ([]trace.Hop, error) {
	if sink == p.Self {
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	nonce := rand.Uint64()
	t := p.traces.Begin(nonce, sink)
	ask := wire.Append(nil, wire.Header{Type: wire.Trace, Dst: sink, Src: p.Self, Seq: nonce}, nil)
	return p.traces.End(nonce, p.askTrace(ctx, t, sink, ask))
}

// askTrace asks until all answers have come, or returns why they have not.
func (p *Plane) askTrace(ctx context.Context, t *trace.Trace, sink uint64, ask []byte) error {
	timer := time.NewTimer(traceRepeat)
	defer timer.Stop()
	for {
		p.traces.Ask(t, p.now())
		if err := p.emit(sink, ask); err != nil {
			return err
		}
		workers.GiveWay(ctx)
		select {
		case <-t.Done():
			return nil
		case <-timer.C:
			timer.Reset(traceRepeat)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
}

func (l *inLink) answerTrace(f wire.Frame, last bool) {
	l.answer(wire.Traced, f, wire.TracedBody{Hops: f.Hops(), Last: last}.Append(nil))
}

// traced handles a hop's answer.
func (p *Plane) traced(f wire.Frame) {
	b, err := wire.ParseTraced(f.Body())
	if err != nil || int(b.Hops) > p.HopLimit || b.Hops == 0 {
		p.counters.malformed.Add(1)
	} else if !p.traces.Answered(f.Seq(), f.Src(), int(b.Hops), b.Last, p.now()) {
		p.counters.stale.Add(1)
	}
}

func (p *Plane) traceRefused(f wire.Frame, b wire.NoRouteBody) {
	why := stream.ErrNoSuchNode
	if b.Reason == wire.HopLimit {
		why = stream.ErrHopLimit
	}
	if !p.traces.Refused(f.Seq(), b.Dst, why) {
		p.counters.stale.Add(1)
	}
}
