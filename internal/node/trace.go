package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/status"
)

// traceTimeout and maxTraces bound the traces that the registry asks for.
const (
	traceTimeout = 10 * time.Second
	maxTraces    = 16
)

// Trace asks each node on the route to another to answer.
func (n *Node) Trace(ctx context.Context, to status.ID) ([]status.Hop, error) {
	p := n.inc.Load().plane
	if p.Epoch() == 0 {
		return nil, fmt.Errorf("ringdht: %s: tracing the route to %d: %w", n.label(), to, n.noTableError())
	}
	answers, err := p.Trace(ctx, uint64(to))
	if errors.Is(err, stream.ErrNoSuchNode) {
		err = notThere(err)
	}
	if err != nil {
		err = fmt.Errorf("ringdht: %s: tracing the route to %d: %w", n.label(), to, n.ended(err))
	}
	hops := make([]status.Hop, len(answers))
	for i, h := range answers {
		hops[i] = status.Hop{ID: status.ID(h.ID), Elapsed: h.Elapsed}
	}
	return hops, err
}

// reportStuck tells the registry of a stream on which nothing comes through. The stream's lock is
// held.
func (inc *incarnation) reportStuck(s plane.Stuck) {
	inc.n.Tell(control.TypeStuck, control.Stuck{
		ID: s.Sink, Healed: s.Healed, Silent: s.Silent.Milliseconds(), Complete: s.Complete,
		Answered: s.Answered[:min(len(s.Answered), control.MaxStuckHops)],
	})
	if !s.Healed {
		inc.n.cfg.Log.Info("nothing comes through to a node: the registry looks for the relay that passes nothing on", "node", inc.n.Peer(), "to", s.Sink, "for", s.Silent, "answered", len(s.Answered), "complete", s.Complete)
	}
}

// answerTrace traces a route for the registry. It answers over the connection that the
// question came from: to another registry, the number of the question may mean another one.
func (n *Node) answerTrace(ctl *control.Conn, ask control.Trace) {
	ctx, cancel := context.WithTimeout(n.ctx, traceTimeout)
	defer cancel()
	hops, err := n.Trace(ctx, status.ID(ask.To))
	answer := control.Traced{Ask: ask.Ask}
	for _, h := range hops {
		answer.Hops = append(answer.Hops, control.Hop{ID: uint64(h.ID), Elapsed: int64(h.Elapsed)})
	}
	if err != nil {
		answer.Error = handshake.Quote(err.Error())
		answer.NoSuchNode = errors.Is(err, stream.ErrNoSuchNode)
	}
	ctl.Send(control.TypeTraced, answer)
}
