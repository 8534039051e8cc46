package plane

import (
	"context"

	"github.com/x/ringdht/internal/stream"
)

// Flush waits until everything accepted before the call for these sinks, or for all if none are
// given, has been handled. It returns the streams that ended otherwise, oldest first, and ctx's
// error if ctx ended first. It leaves out what another Flush has returned, and what an
// OnUndelivered had received when Flush was called. Each OnUndelivered has returned for
// the streams that Flush waited for, unless ctx is that of a handler or callback of this plane.
func (p *Plane) Flush(ctx context.Context, sinks ...uint64) ([]Undelivered, error) {
	since := p.losses.BeginFlush()
	err := p.Await(ctx, sinks...)
	return p.losses.EndFlush(since, sinks), err
}

// Await is Flush for callers that must not take away what the next Flush returns.
func (p *Plane) Await(ctx context.Context, sinks ...uint64) error {
	if err := p.awaitStreams(ctx, p.outgoingStreams(sinks...)); err != nil {
		return err
	}
	return p.awaitCalls(ctx, sinks)
}

// AwaitService is Await for what one service has accepted for a sink. It waits for no other service
// there.
func (p *Plane) AwaitService(ctx context.Context, sink uint64, port uint8) error {
	if o := p.findOutbound(sink, port); o != nil {
		if err := p.awaitStreams(ctx, []*outbound{o}); err != nil {
			return err
		}
	}
	return p.awaitCalls(ctx, []uint64{sink})
}

func (p *Plane) awaitStreams(ctx context.Context, streams []*outbound) error {
	type target struct {
		o *outbound
		n uint64 // messages accepted
	}
	var targets []target
	for _, o := range streams {
		o.mu.Lock()
		if o.s.State() != stream.Ended && o.s.Pending() > 0 {
			accepted, _ := o.s.Progress()
			targets = append(targets, target{o, accepted})
			o.transmit(o.s.Flush(p.now(), o.scratch[:0]))
		}
		o.mu.Unlock()
	}
	for _, t := range targets {
		for {
			t.o.mu.Lock()
			if _, delivered := t.o.s.Progress(); t.o.s.State() == stream.Ended || delivered >= t.n {
				t.o.mu.Unlock()
				break
			}
			changed := t.o.changed.Next()
			t.o.mu.Unlock()
			if err := p.await(ctx, changed, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// outgoingStreams lists the streams to these sinks, or all if none are given.
func (p *Plane) outgoingStreams(sinks ...uint64) []*outbound {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if len(sinks) == 0 {
		return p.outbounds.all()
	}
	var some []*outbound
	for _, sink := range sinks {
		some = p.outbounds.of(sink, some)
	}
	return some
}

// askAll asks every sink for an acknowledgement, to free the send buffer. With very many streams
// none may have enough outstanding for its sink to send one unasked.
func (p *Plane) askAll() {
	for _, o := range p.outgoingStreams() {
		o.mu.Lock()
		o.transmit(o.s.Ask(p.now(), o.scratch[:0]))
		o.mu.Unlock()
	}
}
