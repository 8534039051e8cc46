package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/status"
)

// Trace has one node trace the route to another, see [Node.Trace].
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

// traced is a node's answer as [Registry.Trace] returns it.
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
