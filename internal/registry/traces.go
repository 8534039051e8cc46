package registry

import (
	"sync"

	"github.com/x/ringdht/internal/control"
)

// traces are the traces that nodes were asked for and have not answered. It has a lock of its
// own, which is a leaf: nothing else is locked while it is held.
type traces struct {
	mu      sync.Mutex
	pending map[uint64]pendingTrace
	latest  uint64 // the number of the latest question
}

// question is a trace that the node of a session was asked for.
type pendingTrace struct {
	session *session
	answer  chan<- control.Traced // of one slot
}

// ask adds a question to a session. The caller must call done with its number.
func (t *traces) begin(s *session) (number uint64, answer <-chan control.Traced) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending == nil {
		t.pending = make(map[uint64]pendingTrace)
	}
	t.latest++
	c := make(chan control.Traced, 1)
	t.pending[t.latest] = pendingTrace{s, c}
	return t.latest, c
}

// done drops a question.
func (t *traces) end(number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pending, number)
}

// answered takes in a session's answer. An answer that another session was asked for, or
// that comes twice, is dropped.
func (t *traces) deliver(s *session, answer control.Traced) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q, ok := t.pending[answer.Ask]; ok && q.session == s {
		delete(t.pending, answer.Ask)
		q.answer <- answer
	}
}
