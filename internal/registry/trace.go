package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/status"
)

// Trace asks the node at from for a trace and waits for its answer.
func (r *Registry) Trace(ctx context.Context, from, to status.ID) ([]status.Hop, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ringdht: registry: tracing from %d to %d: %w", from, to, context.Cause(ctx))
	}
	r.mu.Lock()
	m, _ := r.members.Holder(uint64(from))
	s := r.sessions[m.Ref()]
	r.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("ringdht: registry: tracing from %d: %w", from, stream.ErrNoSuchNode)
	}
	number, answer := r.traces.begin(s)
	defer r.traces.end(number)
	s.conn.Send(control.TypeTrace, control.Trace{Ask: number, To: uint64(to)})
	var why error
	select {
	case a := <-answer:
		return traced(from, to, a)
	case <-s.done:
		why = fmt.Errorf("ringdht: registry: tracing from %d: the node is gone: %w", from, errs.ErrNotMember)
	case <-ctx.Done():
		why = fmt.Errorf("ringdht: registry: tracing from %d to %d: %w", from, to, context.Cause(ctx))
	}
	select {
	case a := <-answer: // it came first
		return traced(from, to, a)
	default:
		return nil, why
	}
}

// traced turns a node's answer into the result of [Registry.Trace].
func traced(from, to status.ID, answer control.Traced) ([]status.Hop, error) {
	hops := make([]status.Hop, len(answer.Hops))
	for i, h := range answer.Hops {
		hops[i] = status.Hop{ID: status.ID(h.ID), Elapsed: time.Duration(h.Elapsed)}
	}
	switch {
	case answer.NoSuchNode:
		return hops, fmt.Errorf("ringdht: registry: tracing from %d to %d: %w: the members are those that Members lists", from, to, stream.ErrNoSuchNode)
	case answer.Error != "":
		return hops, errors.New(answer.Error)
	}
	return hops, nil
}

// maxTracedHops bounds the answers that a trace returns: every hop of a ring with a usual plan.
const maxTracedHops = 1024

// traces are the traces that nodes were asked for and have not answered. mu is a leaf lock: nothing
// else is locked while it is held.
type traces struct {
	mu      sync.Mutex
	pending map[uint64]pendingTrace
	latest  uint64 // the number of the latest trace
}

// pendingTrace is a trace that the node of a session was asked for.
type pendingTrace struct {
	session *session
	answer  chan<- control.Traced // of one slot
}

// begin adds a trace for a session. The caller must call end with its number.
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

// end drops a trace.
func (t *traces) end(number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pending, number)
}

// deliver hands a session's answer to the caller of Trace. It drops an answer that another session
// was asked for, or that comes twice.
func (t *traces) deliver(s *session, answer control.Traced) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q, ok := t.pending[answer.Ask]; ok && q.session == s {
		delete(t.pending, answer.Ask)
		q.answer <- answer
	}
}
