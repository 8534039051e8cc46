package plane

import (
	"context"
	"sync"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
)

// turn is a place in the scheduler's queue, for the deliveries of a stream, or for the casts if
// in is nil. It is part of the stream, so queueing allocates nothing.
type turn struct {
	next *turn
	in   *inbound
}

// scheduler gives streams with deliveries to handlers, in turn. Workers come and go with the
// work: each worker that starts starts the next one if there is more to do, up to
// Limits.Handlers. So a handler that blocks holds up no other stream until that many block.
type scheduler struct {
	mu         sync.Mutex
	head, tail *turn
	running    int // workers, and goroutines that make inline calls
	closed     bool

	inlineCalls // by readers
}

func (s *scheduler) push(p *Plane, turns ...*turn) {
	s.mu.Lock()
	for _, t := range turns {
		if s.tail == nil {
			s.head = t
		} else {
			s.tail.next = t
		}
		s.tail = t
	}
	s.start(p)
	s.mu.Unlock()
}

// start starts a worker if there is work for one. It needs mu.
func (s *scheduler) start(p *Plane) {
	if s.head != nil && !s.closed && s.running < p.Handlers {
		s.running++
		p.wg.Add(1)
		go p.worker()
	}
}

func (p *Plane) work() {
	defer p.wg.Done()
	s := &p.sched
	defer func() { // also if a handler has ended the goroutine
		s.mu.Lock()
		s.running--
		s.start(p)
		s.mu.Unlock()
	}()
	var took span
	for {
		s.mu.Lock()
		s.account(p, took)
		took = span{}
		t := s.head
		if t == nil || s.closed {
			s.mu.Unlock()
			return
		}
		if s.head = t.next; s.head == nil {
			s.tail = nil
		}
		t.next = nil
		s.start(p)
		s.mu.Unlock()
		took = call{p: p, ctx: p.ctx, turn: t}.inside(p.Owner)
	}
}

// deliverTurn delivers what is due on a turn and returns how long that took.
func (p *Plane) deliverTurn(ctx context.Context, t *turn) span {
	if t.in == nil {
		return p.deliverCasts(ctx)
	}
	return p.deliverStream(ctx, t.in)
}

// close makes sure that no handler starts any more.
func (s *scheduler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// castInbox holds messages that came without a stream.
type castInbox struct {
	mu        sync.Mutex
	q         fifo.Queue
	held      int // bytes waiting or with the handler
	limit     int
	drained   int64 // bytes handled since the start
	scheduled bool
	turn      turn
	throttle  link.Throttle
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

func (p *Plane) deliverCasts(ctx context.Context) span {
	c := &p.casts
	c.mu.Lock()
	q := c.q.Take()
	c.mu.Unlock()
	took := p.deliverQueue(ctx, &q, nil)
	c.mu.Lock()
	more := c.q.Size() > 0
	c.scheduled = more
	c.mu.Unlock()
	if more {
		p.sched.push(p, &c.turn)
	} else if p.incomingCut.Load() || p.draining.Load() {
		p.changes.Broadcast()
	}
	return took
}
