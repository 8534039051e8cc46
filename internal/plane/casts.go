package plane

import (
	"context"
	"sync"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/internal/workers"
)

// castInbox holds messages for a service that came without a stream.
type castInbox struct {
	mu        sync.Mutex
	q         fifo.Queue
	held      int // bytes waiting or with the handler
	limit     int
	drained   int64 // bytes handled since the start
	scheduled bool
	turn      workers.Turn
	throttle  link.Throttle
}

// receiveCasts takes in the casts of the batch for the service with the empty name.
func (l *inLink) receiveCasts(batch []byte) {
	s := &l.p.services[0]
	offered := 0
	for _, c := range l.demux.Casts() {
		if !s.Handled {
			l.p.counters.unknown.Add(int64(wire.Count(batch[c.From:c.To])))
			continue
		}
		offered += c.To - c.From
		l.takeCasts(s, batch[c.From:c.To])
	}
	if offered > 0 {
		l.slowCasts(s, offered)
	}
}

// receiveNamedCast takes in a cast for a named service.
func (l *inLink) receiveNamedCast(f wire.Frame) {
	p := l.p
	name, _, err := wire.ParseNamed(f.Body())
	if err != nil {
		p.counters.malformed.Add(1)
		return
	}
	s := p.handledService(string(name)) // compares, and makes no string
	if s == nil {
		p.counters.unknown.Add(1)
		return
	}
	l.takeCasts(s, f)
	l.slowCasts(s, len(f))
}

// takeCasts takes in casts for a service, as many as there is room for.
func (l *inLink) takeCasts(s *service, frames []byte) {
	kept, ready := s.casts.add(frames, l.room(s))
	l.accept(s, kept)
	if ready {
		l.turns.Ready(&s.casts.turn)
	}
	if kept < len(frames) {
		l.p.counters.inboxFull.Add(int64(wire.Count(frames[kept:])))
	}
}

// slowCasts slows the reader down, if casts of a service come faster than they are handled.
func (l *inLink) slowCasts(s *service, offered int) {
	if crowded, done := s.casts.crowded(); crowded {
		l.slowDown(&s.casts.throttle, done, offered)
	}
}

// add keeps as many of the casts as fit into room. It returns their bytes and whether a handler
// must be called.
func (c *castInbox) add(frames []byte, room int) (kept int, ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept = wire.Fit(frames, min(room, c.limit-c.held))
	if kept == 0 {
		return 0, false
	}
	c.held += kept
	c.q.Append(frames[:kept])
	ready = !c.scheduled
	c.scheduled = true
	return kept, ready
}

// crowded reports whether the inbox is more than a quarter full, and how many bytes have left it.
func (c *castInbox) crowded() (yes bool, drained int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held > c.limit/4, c.drained
}

func (c *castInbox) handled(bytes int) {
	c.mu.Lock()
	c.held -= bytes
	c.drained += int64(bytes)
	c.mu.Unlock()
}

func (p *Plane) deliverCasts(ctx context.Context, s *service) workers.Span {
	c := &s.casts
	c.mu.Lock()
	q := c.q.Take()
	c.mu.Unlock()
	took := p.deliverQueue(ctx, &q, s, nil)
	c.mu.Lock()
	more := c.q.Size() > 0
	c.scheduled = more
	c.mu.Unlock()
	if more {
		p.workers.Push(&c.turn)
	} else if p.incomingCut.Load() || p.draining.Load() {
		p.changes.Broadcast()
	}
	return took
}
