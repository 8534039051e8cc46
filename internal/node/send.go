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

// Send sends a message to exactly the node with this ID. When it returns nil the
// message is accepted: it will be handed to that node's handler exactly once,
// after all that this node sent it before, as long as both processes live and the
// ring still connects them. Send does not wait for that; [Node.Flush] does.
//
// It copies body. With a ctx that has ended it sends nothing, even if there is room, so
// that a loop of sends ends with its context. It waits, until ctx ends, while the sink's
// window, this node's send buffer or the first link is full, so that a slow sink slows
// down its own sources; and before the first message to a node that is not among
// [Node.Members], to learn whether it exists.
//
// With the context of one of this node's handlers it never waits for a window: the
// message joins a backlog, and the error is [ErrBacklog] when that is full.
//
// A message goes to the life of the sink that its stream was opened to. If that life
// has ended, and the node has not heard of it yet, the message has no known outcome,
// also when another life has taken its place.
//
// The error matches [ErrNoSuchNode] when the ring has no node with this ID, [ErrLeft] when
// that node is about to leave, [ErrRefused] when it has no room for another stream,
// [ErrTooLarge] when body is longer than the ring allows, [ErrNotReady] before the
// overlay is set up, [ErrNotMember] when this node is about to leave, and [ErrClosed] when
// it is closed. After any error the message was not sent.
func (n *Node) Send(ctx context.Context, to status.ID, body []byte) error {
	return n.send(ctx, to, portHandler, body)
}

// SendValue encodes v with the node's codec and sends it. The receiver uses
// [Message.Decode]. A value that the codec cannot carry is an error, and nothing is sent;
// [Msgpack] and [JSON] say which those are.
func (n *Node) SendValue(ctx context.Context, to status.ID, v any) error {
	b, err := n.cfg.Codec.Append(nil, v)
	if err != nil {
		return fmt.Errorf("ringdht: node %d: encoding a %T with %s: %w", n.ID(), v, n.cfg.Codec.Name(), err)
	}
	return n.send(ctx, to, portHandler, b)
}

func (n *Node) send(ctx context.Context, to status.ID, port uint8, body []byte) error {
	p := n.inc.Load().plane
	if p.Epoch() == 0 {
		return n.sendError(to, errs.ErrNotReady)
	}
	if err := p.Send(ctx, uint64(to), port, body); err != nil {
		return n.sendError(to, err)
	}
	return nil
}

// Cast sends a message and forgets it: it is not numbered, acknowledged or
// repeated, and is lost where a queue is full or a link breaks. It waits, until
// ctx ends, only while the first link is congested. Casts arrive in no particular
// order, and are handed to the handler one at a time. The errors are those of
// [Node.Send]; but that the ring has no such node may go unnoticed.
func (n *Node) Cast(ctx context.Context, to status.ID, body []byte) error {
	p := n.inc.Load().plane
	if p.Epoch() == 0 {
		return n.sendError(to, errs.ErrNotReady)
	}
	if err := p.Cast(ctx, uint64(to), portHandler, body); err != nil {
		return n.sendError(to, err)
	}
	return nil
}

func (n *Node) sendError(to status.ID, err error) error {
	switch {
	case errors.Is(err, errs.ErrNotReady):
		err = n.noTableError()
	case errors.Is(err, plane.ErrTooLarge):
		err = fmt.Errorf("%w: send less at a time, or raise it at the registry with WithMaxPayload", err)
	case errors.Is(err, plane.ErrSendingStopped):
		err = fmt.Errorf("%w: %w: the node sends nothing more", errs.ErrNotMember, err)
	case errors.Is(err, stream.ErrLeft):
		err = fmt.Errorf("%w: send it elsewhere", err)
	case errors.Is(err, stream.ErrNoSuchNode):
		err = fmt.Errorf("%w: it has died or left, or never was in the ring; the registry lists its members", err)
	case errors.Is(err, stream.ErrStaleIncarnation):
		err = fmt.Errorf("%w: it forgets that incarnation some minutes after its last frame", err)
	case errors.Is(err, stream.ErrRefused):
		err = fmt.Errorf("%w: try again later, or raise Limits.Streams there", err)
	case errors.Is(err, plane.ErrBacklog):
		err = fmt.Errorf("%w: let handlers send less, or raise Limits.HandlerBacklog", err)
	}
	return fmt.Errorf("ringdht: node %d: sending to %d: %w", n.ID(), to, err)
}
