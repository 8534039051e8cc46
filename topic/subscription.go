package topic

import (
	"context"
	"sync"

	"github.com/x/ringdht/topic/internal/broadcast"
)

// subscription is the part of a Subscription that does not know the type of its values.
//
//	open ─ Close ─▶ closed: its loops end
//	  └─ node closed ─▶ over: its loops take what has come, and end
type subscription struct {
	hub     *hub
	subject string

	// guarded by hub.mu
	latest   place // of what was put in last
	retained place // what it got as the retained message

	mu     sync.Mutex // a leaf
	buffer []delivery // at most hub.buffer
	lost   uint64     // missed, and not told by a delivery in buffer
	closed bool
	over   bool
	ready  chan struct{} // of one slot: there is something to look at
}

// place is where a message stands among those of its publisher.
type place struct {
	from   broadcast.Member
	number uint64
}

// delivery is a message in a subscription's buffer. Several subscriptions share the message.
type delivery struct {
	from        broadcast.Member
	meta, value []byte
	missed      uint64
}

// push puts a message in, and the oldest out if there is no room. It needs hub.mu, and never waits.
func (s *subscription) push(at place, e *envelope) {
	if at.from == s.retained.from && at.number <= s.retained.number {
		return // it came as the retained one, or before it
	}
	s.latest = at
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.buffer) == s.hub.buffer {
		s.pass(s.buffer[0].missed + 1)
	}
	s.buffer = append(s.buffer, delivery{at.from, e.meta, e.value, s.lost})
	s.lost = 0
	s.wake()
}

// pass drops the oldest delivery, and lets the next one tell how many are missing. It needs mu.
func (s *subscription) pass(missed uint64) {
	s.buffer[0] = delivery{}
	s.buffer = s.buffer[1:]
	s.miss(missed)
}

// miss lets the next delivery tell that some are missing. It needs mu.
func (s *subscription) miss(missed uint64) {
	if len(s.buffer) > 0 {
		s.buffer[0].missed += missed
	} else {
		s.lost += missed
	}
}

func (s *subscription) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// next waits for a delivery. It returns false if ctx has ended, or no other one comes.
func (s *subscription) next(ctx context.Context) (delivery, bool) {
	for ctx.Err() == nil {
		d, ok, over := s.take()
		if ok || over {
			return d, ok
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
		}
	}
	return delivery{}, false
}

func (s *subscription) take() (d delivery, ok, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok = len(s.buffer) > 0 && !s.closed; ok {
		d = s.buffer[0]
		s.buffer[0] = delivery{}
		s.buffer = s.buffer[1:]
	}
	if over = s.closed || s.over; over || len(s.buffer) > 0 {
		s.wake() // another loop
	}
	return d, ok, over
}

// missed lets the next delivery tell that some are missing: of those that are to come.
func (s *subscription) missed(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += n
}

// undo counts a delivery as missed.
func (s *subscription) undo(d delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.miss(d.missed + 1)
}

// end says that no other delivery comes.
func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.wake()
}

func (s *subscription) close() {
	s.hub.unsubscribe(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.buffer = true, nil
	s.wake()
}
