package ringtest

import (
	"context"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/status"
)

// Node is a node with a service of the empty name, which has the methods of that service as well.
// Most tests need no other.
type Node struct {
	*ringdht.Node
	Service *ringdht.Service
}

// NewNode returns a node that has not joined. A nil handler drops messages.
func NewNode(h ringdht.Handler, opts ...ringdht.NodeOption) *Node {
	n := ringdht.NewNode(opts...)
	s := n.Service("")
	if h == nil {
		h = func(context.Context, ringdht.Message) {}
	}
	s.Handle(h)
	return &Node{n, s}
}

// Join returns a new node that has joined.
func Join(ctx context.Context, addr string, h ringdht.Handler, opts ...ringdht.NodeOption) (*Node, error) {
	n := NewNode(h, opts...)
	if err := n.Join(ctx, addr); err != nil {
		return nil, err
	}
	return n, nil
}

// WithUndelivered returns an option that sets the callback of the service with the empty name.
func WithUndelivered(f func(status.Undelivered)) ringdht.NodeOption {
	return WithNodeConfig(func(c *node.Config) {
		c.Services[0].Undelivered = func(u plane.Undelivered) {
			f(status.Undelivered{Sink: status.ID(u.Sink), Messages: u.Messages, NotHandled: u.NotHandled, Bodies: u.Bodies, Err: u.Err})
		}
	})
}

// Send sends a message of the service.
func (n *Node) Send(ctx context.Context, to ringdht.ID, body []byte) error {
	return n.Service.Send(ctx, to, body)
}

// SendBatch sends messages of the service.
func (n *Node) SendBatch(ctx context.Context, to ringdht.ID, bodies [][]byte) (int, error) {
	return n.Service.SendBatch(ctx, to, bodies)
}

// SendValue sends a value by the service.
func (n *Node) SendValue(ctx context.Context, to ringdht.ID, v any) error {
	return n.Service.SendValue(ctx, to, v)
}

// Cast sends a cast of the service.
func (n *Node) Cast(ctx context.Context, to ringdht.ID, body []byte) error {
	return n.Service.Cast(ctx, to, body)
}
