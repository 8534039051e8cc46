package rpc

import (
	"context"
	"sync"

	"github.com/x/ringdht"
)

const (
	maxNested = 8192 // requests of handlers that are handled at once
	maxEarly  = 1024 // cancelled calls that are not known, of which the latest are remembered
)

// key names a call at its callee.
type key struct {
	caller ringdht.ID
	number uint64
}

// serves are the calls of others to this node, from their request until their answer has been
// accepted by the node. A call that is not among them is answered, or its request has not come.
type serves struct {
	mu      sync.Mutex
	running map[key]*serving
	leaving bool          // no others are taken
	idle    chan struct{} // closed when leaving and none is running

	// Cancelled before the request came, which may wait behind others. They are remembered in the
	// order of the ring early, from next on.
	cancelled map[key]struct{}
	early     []key
	next      int
}

func (s *serves) init() {
	s.running, s.cancelled, s.idle = make(map[key]*serving), make(map[key]struct{}), make(chan struct{})
}

// begin notes a call that is about to be handled. It returns why it is not; nil and false if no
// answer is waited for.
func (s *serves) begin(v *serving) (refused *Error, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, cancelled := s.cancelled[v.key]
	_, twice := s.running[v.key]
	switch {
	case cancelled:
		delete(s.cancelled, v.key)
		return nil, false
	case twice:
		v.e.malformed.Add(1)
		return nil, false
	case s.leaving && (v.lane == requests || len(s.running) == 0):
		// Requests of handlers are taken while there are others: these may wait for them.
		return ErrLeaving, false
	case v.lane == answers && !v.e.nested.try(v.key.caller):
		return errNested, false
	}
	s.running[v.key] = v
	return nil, true
}

// end removes a call.
func (s *serves) end(v *serving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[v.key] != v {
		return
	}
	delete(s.running, v.key)
	if v.lane == answers && !v.left {
		v.e.nested.put(v.key.caller)
	}
	if s.leaving && len(s.running) == 0 {
		close(s.idle)
	}
}

// again notes a call whose answer was left undelivered, so that it is known. It returns nil if it is
// known already.
func (s *serves) again(k key, answer []byte, life uint64) *serving {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[k] != nil || s.leaving && len(s.running) == 0 {
		return nil
	}
	v := &serving{key: k, life: life, left: true, body: copied(answer)}
	s.running[k] = v
	return v
}

// cancel ends the context of a call. If it is not known and its request may come, it is remembered.
func (s *serves) cancel(k key, mayCome bool) {
	s.mu.Lock()
	v := s.running[k]
	if v == nil && mayCome {
		s.remember(k)
	}
	s.mu.Unlock()
	if v != nil && mayCome {
		v.abandon(context.Canceled)
	} else if v != nil {
		v.abandon(ringdht.ErrGone)
	}
}

// remember needs mu.
func (s *serves) remember(k key) {
	if _, known := s.cancelled[k]; known {
		return
	}
	s.cancelled[k] = struct{}{}
	if len(s.early) < maxEarly {
		s.early = append(s.early, k)
		return
	}
	delete(s.cancelled, s.early[s.next])
	s.early[s.next] = k
	s.next = (s.next + 1) % maxEarly
}

// over ends the contexts of calls that came to an incarnation of this node, or to one before it.
func (s *serves) over(life uint64, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.running {
		if v.life <= life {
			v.abandon(cause)
		}
	}
}

// windUp takes no further calls. It returns a channel that is closed when none is running.
func (s *serves) windUp() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.leaving {
		s.leaving = true
		if len(s.running) == 0 {
			close(s.idle)
		}
	}
	return s.idle
}

// unknown returns those of a caller's calls that are not known, and notes that it waits for the
// others. It changes the list.
func (s *serves) unknown(caller ringdht.ID, list []uint64) (not []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	not = list[:0]
	for _, number := range list {
		if v := s.running[key{caller, number}]; v != nil {
			v.aged = false
		} else {
			not = append(not, number)
		}
	}
	return not
}

// due returns the calls to check, by question: those of which nothing was heard for a second.
func (s *serves) due(into map[question][]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.running {
		if v.aged {
			q := question{k.caller, kindCheck, answers}
			into[q] = append(into[q], k.number)
		}
		v.aged = true
	}
}

// about returns the calls of a caller.
func (s *serves) about(caller ringdht.ID) (list []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.running {
		if k.caller == caller {
			list = append(list, k.number)
		}
	}
	return list
}

// len returns how many calls are running.
func (s *serves) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running)
}
