package rpc

import (
	"context"
	"iter"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// New returns an Endpoint of a node. It registers two services: requests come to the one of this
// name, and answers to name + "~answers". Call New and Handle before Join, in all programs with the
// same name. New panics if the node has such a service, or has joined, see ringdht.Node.Service.
//
// When the node leaves, it takes no new requests ([ErrLeaving]), and waits for those that are being
// handled and for its own calls. Endpoints wind up in the opposite order of their making: a handler
// may call through endpoints that were made before its own.
func New(n *ringdht.Node, service string, opts ...Option) *Endpoint {
	c := &node{n: n}
	e := newEndpoint(service, c, n.Codec(), opts)
	c.lanes[requests], c.lanes[answers] = n.Service(service), n.Service(service+suffix)
	e.service = c.lanes[requests]
	for l, s := range c.lanes {
		s.OnUndelivered(func(u status.Undelivered) { e.undelivered(lane(l), u.Sink, u.Bodies, u.NotHandled, u.Err) })
	}
	c.lanes[answers].Handle(func(ctx context.Context, m ringdht.Message) { e.receive(ctx, answers, m) })
	e.service.OnLeave(e.leave)
	return e
}

// node is the carrier of a real node.
type node struct {
	n     *ringdht.Node
	lanes [2]*ringdht.Service
}

func (n *node) send(ctx context.Context, l lane, to ringdht.ID, body []byte) error {
	return n.lanes[l].Send(ctx, to, body)
}

func (n *node) flush(ctx context.Context, l lane, to ringdht.ID) error {
	return n.lanes[l].Flush(ctx, to)
}

// incarnation of a node that has not joined yet is 1: below each that the node will have, and above 0,
// which counts as ended.
func (n *node) incarnation() uint64 { return max(1, n.n.Incarnation()) }

func (n *node) members(ctx context.Context) iter.Seq[status.MemberEvent] { return n.n.Watch(ctx) }
