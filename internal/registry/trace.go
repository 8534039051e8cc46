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
	ask, answer := r.traces.ask(s)
	defer r.traces.done(ask)
	s.conn.Send(control.TypeTrace, control.Trace{Ask: ask, To: uint64(to)})
	var why error
	select {
	case told := <-answer:
		return traced(from, to, told)
	case <-s.done:
		why = fmt.Errorf("ringdht: registry: tracing from %d: the node is gone: %w", from, errs.ErrNotMember)
	case <-ctx.Done():
		why = fmt.Errorf("ringdht: registry: tracing from %d to %d: %w", from, to, context.Cause(ctx))
	}
	select {
	case told := <-answer: // it came first
		return traced(from, to, told)
	default:
		return nil, why
	}
}

// traced is a node's answer as [Registry.Trace] returns it.
func traced(from, to status.ID, told control.Traced) ([]status.Hop, error) {
	hops := make([]status.Hop, len(told.Hops))
	for i, h := range told.Hops {
		hops[i] = status.Hop{ID: status.ID(h.ID), Elapsed: time.Duration(h.Elapsed)}
	}
	switch {
	case told.NoSuchNode:
		return hops, fmt.Errorf("ringdht: registry: tracing from %d to %d: %w: the members are those that Members lists", from, to, stream.ErrNoSuchNode)
	case told.Error != "":
		return hops, errors.New(told.Error)
	}
	return hops, nil
}
