package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/status"
)

// Send sends a message of a service over the stream to a node.
func (n *Node) Send(ctx context.Context, port uint8, to status.ID, body []byte) error {
	p := n.inc.Load().plane
	if p.Epoch() == 0 {
		var err error
		if p, err = n.awaitTable(ctx); err != nil {
			return n.sendError(to, err)
		}
	}
	if err := p.Send(ctx, uint64(to), port, body); err != nil {
		return n.sendError(to, err)
	}
	return nil
}

// SendValue encodes v with the node's codec and sends it.
func (n *Node) SendValue(ctx context.Context, port uint8, to status.ID, v any) error {
	b, err := n.cfg.Codec.Append(nil, v)
	if err != nil {
		return fmt.Errorf("ringdht: %s: encoding a %T with %s: %w", n.label(), v, n.cfg.Codec.Name(), err)
	}
	return n.Send(ctx, port, to, b)
}

// SendBatch sends messages over the stream to a node. It returns how many were accepted.
func (n *Node) SendBatch(ctx context.Context, port uint8, to status.ID, bodies [][]byte) (accepted int, err error) {
	p := n.inc.Load().plane
	if p.Epoch() == 0 {
		if p, err = n.awaitTable(ctx); err != nil {
			return 0, n.sendError(to, err)
		}
	}
	if accepted, err = p.SendBatch(ctx, uint64(to), port, bodies); err != nil {
		return accepted, n.sendError(to, err)
	}
	return accepted, nil
}

// Cast sends a message without a stream.
func (n *Node) Cast(ctx context.Context, port uint8, to status.ID, body []byte) error {
	p := n.inc.Load().plane
	if p.Epoch() == 0 {
		var err error
		if p, err = n.awaitTable(ctx); err != nil {
			return n.sendError(to, err)
		}
	}
	if err := p.Cast(ctx, uint64(to), port, body); err != nil {
		return n.sendError(to, err)
	}
	return nil
}

// awaitTable waits until the node has a routing table, and returns the plane that uses it. It does
// not wait for a node that gets none any more. Nor does it with the context of a handler, since the
// node that a handler waits for may wait for the handler.
func (n *Node) awaitTable(ctx context.Context) (*plane.Plane, error) {
	p := n.inc.Load().plane
	if plane.OwnerOf(ctx) != n.owner {
		err := n.Await(ctx, func() bool {
			p = n.inc.Load().plane
			return p.Epoch() != 0 || n.closed || n.leaving || n.expelled.Load()
		})
		if err != nil && ctx.Err() != nil {
			return nil, fmt.Errorf("%w (%w)", n.noTableError(), context.Cause(ctx))
		}
	}
	if p.Epoch() == 0 {
		return nil, n.noTableError()
	}
	return p, nil
}

// notThere says what a missing node may be, and where to look.
func notThere(err error) error {
	return fmt.Errorf("%w: it has died or left, or never was in the ring; the registry lists its members", err)
}

// sendError says what the caller can do about an error of the plane.
func (n *Node) sendError(to status.ID, err error) error {
	err = n.ended(err)
	switch {
	case errors.Is(err, plane.ErrTooLarge):
		err = fmt.Errorf("%w: send less at a time, or raise it at the registry with WithMaxPayload", err)
	case errors.Is(err, plane.ErrSendingStopped):
		err = fmt.Errorf("%w: %w: the node sends nothing more", errs.ErrNotMember, err)
	case errors.Is(err, stream.ErrLeft):
		err = fmt.Errorf("%w: send it elsewhere", err)
	case errors.Is(err, stream.ErrNoSuchNode):
		err = notThere(err)
	case errors.Is(err, stream.ErrStaleIncarnation):
		err = fmt.Errorf("%w: it forgets that incarnation some minutes after its last frame", err)
	case errors.Is(err, stream.ErrRefused):
		err = fmt.Errorf("%w: try again later, or raise Limits.Streams there", err)
	case errors.Is(err, plane.ErrBacklog):
		err = fmt.Errorf("%w: let handlers send less, or raise Limits.HandlerBacklog", err)
	}
	return fmt.Errorf("ringdht: %s: sending to %d: %w", n.label(), to, err)
}
