package plane

import (
	"context"
	"sync"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// turn is a place in the scheduler's queue: of a stream's deliveries, or of the
// casts when in is nil. It is part of what it stands for, so queueing allocates
// nothing.
type turn struct {
	next *turn
	in   *inbound
}

// scheduler gives streams that have deliveries to handlers, in turn. Goroutines
// come and go with the work: each that starts starts the next if there is more
// to do, up to the limit, so that a handler that waits holds up nobody until as
// many wait as may run. One stays for a while when there is no more to do: to begin
// anew, with a stack that has to grow first, costs as much as many a message.
type scheduler struct {
	mu         sync.Mutex
	head, tail *turn
	running    int
	parked     bool          // one of those that run waits for wake
	wake       chan struct{} // there is work, or it is time to go
	used       bool          // since the last look at whether it should go
	closed     bool

	readers // who may call handlers besides
}

// busy counts the handlers that are called now.
func (s *scheduler) busy() int {
	n := s.running + s.calling
	if s.parked {
		n--
	}
	return n
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

// start needs mu.
func (s *scheduler) start(p *Plane) {
	switch {
	case s.head == nil || s.closed || s.busy() >= p.Handlers:
	case s.parked:
		s.parked = false
		s.wake <- struct{}{}
	default:
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
		if s.busy() > p.Handlers {
			t = nil // it was woken to go, and readers have its place
		}
		if t == nil && !s.closed && !s.parked && s.used {
			s.parked = true
			s.mu.Unlock()
			<-s.wake
			continue
		}
		if t == nil || s.closed {
			s.mu.Unlock()
			return
		}
		s.used = true
		if s.head = t.next; s.head == nil {
			s.tail = nil
		}
		t.next = nil
		s.start(p)
		s.mu.Unlock()
		took = call{p: p, ctx: p.ctx, turn: t}.inside(p.Owner)
	}
}

// take has handlers take what there is, and says when that was.
func (p *Plane) deliverTurn(ctx context.Context, t *turn) span {
	if t.in == nil {
		return p.deliverCasts(ctx)
	}
	return p.deliverStream(ctx, t.in)
}

// close lets no handler start any more.
func (s *scheduler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.dismiss()
}

// dismiss lets the goroutine go that waits for work. It needs mu.
func (s *scheduler) dismiss() {
	if s.parked {
		s.parked = false
		s.wake <- struct{}{}
	}
}

// trim lets it go if there was none since the last call.
func (s *scheduler) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.used {
		s.dismiss()
	}
	s.used = false
}

// castInbox holds the messages that came without a stream.
type castInbox struct {
	mu        sync.Mutex
	q         fifo.Queue
	held      int // bytes waiting or with the handler
	limit     int
	drained   int64 // bytes ever handled
	scheduled bool
	turn      turn
	throttle  throttle
}

// add keeps casts, as many of them as fit into room, and says how many bytes they are
// and whether a handler must be called for.
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

// crowded says whether the inbox is more than a quarter full, and how many bytes have left it.
func (c *castInbox) crowded() (yes bool, done int64) {
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
