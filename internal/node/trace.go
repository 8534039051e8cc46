package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/status"
)

// Trace asks every node on the way to another to answer, like a traceroute of the
// ring. The first hop is the first node after this one and the last is the one
// asked for; for the node itself there are none. Answers travel on around the
// ring, so times are round trips that need not grow from hop to hop. When ctx
// ends first, the hops that have answered are returned with the error.
func (n *Node) Trace(ctx context.Context, to status.ID) ([]status.Hop, error) {
	p := n.inc.Load().plane
	if p.Epoch() == 0 {
		return nil, fmt.Errorf("ringdht: node %d: tracing the route to %d: %w", n.ID(), to, n.noTableError())
	}
	answers, err := p.Trace(ctx, uint64(to))
	if err != nil {
		err = fmt.Errorf("ringdht: node %d: tracing the route to %d: %w", n.ID(), to, err)
	}
	hops := make([]status.Hop, len(answers))
	for i, h := range answers {
		hops[i] = status.Hop{ID: status.ID(h.ID), Elapsed: h.Elapsed}
	}
	return hops, err
}

// answerTrace answers over the connection that the question came from: to another
// registry the number of the question may mean another one.
func (n *Node) answerTrace(ctl *control.Conn, ask control.Trace) {
	ctx, cancel := context.WithTimeout(n.ctx, traceTimeout)
	defer cancel()
	hops, err := n.Trace(ctx, status.ID(ask.To))
	told := control.Traced{Ask: ask.Ask}
	for _, h := range hops {
		told.Hops = append(told.Hops, control.Hop{ID: uint64(h.ID), Elapsed: int64(h.Elapsed)})
	}
	if err != nil {
		told.Error = err.Error()
		told.NoSuchNode = errors.Is(err, stream.ErrNoSuchNode)
	}
	ctl.Send(control.TypeTraced, told)
}
