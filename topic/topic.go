package topic

import (
	"context"
	"fmt"
	"iter"
	"maps"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
)

// Topic publishes messages with values of a type, and receives those of others. Its methods are safe
// for concurrent use. All programs with a Topic of one service must have the same type of values.
type Topic[T any] struct {
	hub *hub
}

// New returns a Topic of a node. It registers the service of this name. All nodes that have made a
// Topic of it are its members: each gets all messages, and drops those of subjects to which it has no
// subscription, which other nodes do not know of. A group of nodes that is known when they start is best a
// Topic of its own, and so are messages for all, beside those of subjects. Between the Topics of a node
// there is no order.
//
// When the node leaves, it waits until all members have what it has published. Topics and endpoints wind
// up in the opposite order of their making: a handler may publish to topics that were made before its
// endpoint.
//
// Call New before Join. It panics if the node has such a service, or has joined, see
// ringdht.Node.Service.
func New[T any](n *ringdht.Node, service string, opts ...Option) *Topic[T] {
	return &Topic[T]{newHub(n, service, opts)}
}

// Publish sends a message to all subscriptions to the subject, also those of this node. The node's
// codec encodes the value; a subject has at most 255 bytes, and may be empty. The metadata of ctx goes along, see
// rpc.WithMeta.
//
// Publish waits for no subscriber. It waits, until ctx ends, until all members know this node, which
// takes place once in a node's life, so it may be called before Join. And it waits while 1,024 of this
// node's messages, or 1 MiB of them, are on their way to members. If it returns nil the message is
// accepted, see the package comment for what that promises; what a node publishes shortly before it
// dies or is declared dead may reach some subscribers or none.
//
// After an error nothing was published, unless it is one that middleware returns after its next has
// returned nil. The error matches the cause of ctx; [ringdht.ErrTooLarge] if the message is longer than
// the ring allows, see ringdht.WithMaxPayload; [ringdht.ErrNotMember] if the node is about to leave; and
// [ringdht.ErrClosed].
func (t *Topic[T]) Publish(ctx context.Context, subject string, v T) error {
	var err error
	if meta := rpc.SentMeta(ctx); t.hub.middleware == nil {
		err = t.publish(ctx, subject, meta, v)
	} else {
		op := &rpc.Op{Service: t.hub.service.Name(), Method: subject, Meta: maps.Clone(meta), Value: v}
		if op.Meta == nil {
			op.Meta = make(rpc.Meta)
		}
		_, err = t.hub.around(func(ctx context.Context, op *rpc.Op) (any, error) {
			return nil, t.publish(ctx, subject, op.Meta, op.Value)
		})(ctx, op)
	}
	if err != nil {
		return fmt.Errorf("topic %q: publishing to %.80q: %w", t.hub.service.Name(), subject, err)
	}
	return nil
}

func (t *Topic[T]) publish(ctx context.Context, subject string, meta rpc.Meta, v any) error {
	if _, ok := v.(T); !ok && v != nil {
		return fmt.Errorf("middleware has made the value a %T", v)
	}
	b, err := appendEnvelope(nil, subject, meta)
	if err != nil {
		return err
	}
	if b, err = t.hub.codec.Append(b, v); err != nil {
		return fmt.Errorf("encoding a %T: %w", v, err)
	}
	return t.hub.publish(ctx, b)
}

// Subscribe returns a subscription to a subject. It waits, until ctx ends, until all members know this
// node: from then on the subscription gets all that any member publishes after Subscribe has returned.
// That takes place once in a node's life. Before Join it waits for Join too.
//
// Of a Topic with [WithRetained] the latest message of the subject comes first, if there is one.
//
// The error matches the cause of ctx, [ringdht.ErrNotMember] if the node is about to leave, and
// [ringdht.ErrClosed].
func (t *Topic[T]) Subscribe(ctx context.Context, subject string) (*Subscription[T], error) {
	s, err := t.hub.subscribe(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("topic %q: subscribing to %.80q: %w", t.hub.service.Name(), subject, err)
	}
	return &Subscription[T]{s}, nil
}

// Message is a published value, as a subscription gets it.
type Message[T any] struct {
	Subject string
	Source  ringdht.ID // the node that published it
	Value   T
	Meta    rpc.Meta // what came along, see rpc.WithMeta; nil if there is none
	// Missed is how many messages the subscription has lost since the one before: the loop was slow
	// and the buffer full, or the value could not be decoded as a T. Messages that were published
	// before Subscribe returned, of any subject, may count too.
	Missed uint64
}

// Subscription gets the messages of one subject. Its methods are safe for concurrent use.
type Subscription[T any] struct{ s *subscription }

// All yields the messages, on the caller's goroutine, until ctx ends, the subscription is closed, or
// the node is. Only the node's end yields the rest; Close drops it, and the end of ctx leaves it. The loop
// may publish. Several loops share the messages.
//
// If the node is declared dead and joins again ([ringdht.ErrEvicted]), the subscription goes on when all
// members know its new incarnation. Messages between are not delivered, and not in Missed; Node.Watch
// tells of it. Of a Topic with [WithRetained] the latest message comes again then, if it is another.
func (s *Subscription[T]) All(ctx context.Context) iter.Seq[Message[T]] {
	return func(yield func(Message[T]) bool) {
		for {
			d, ok := s.s.next(ctx)
			if !ok {
				return
			}
			m := Message[T]{Subject: s.s.subject, Source: ringdht.ID(d.from.ID), Meta: metaOf(d.meta), Missed: d.missed}
			if err := s.s.hub.codec.Decode(d.value, &m.Value); err != nil {
				s.s.undo(d)
				continue
			}
			if !s.yield(ctx, m, yield) {
				return
			}
		}
	}
}

// yield gives a message to the loop, inside the middleware. It returns false if the loop is to end.
func (s *Subscription[T]) yield(ctx context.Context, m Message[T], yield func(Message[T]) bool) (more bool) {
	h := s.s.hub
	if h.middleware == nil {
		return yield(m)
	}
	more = true // also if the middleware does not pass the message on
	op := &rpc.Op{Service: h.service.Name(), Method: m.Subject, Peer: m.Source, Serving: true, Meta: m.Meta, Value: m.Value}
	if op.Meta == nil {
		op.Meta = make(rpc.Meta)
	}
	h.around(func(_ context.Context, op *rpc.Op) (any, error) {
		if v, ok := op.Value.(T); ok {
			m.Value = v
		}
		if m.Meta = op.Meta; len(m.Meta) == 0 {
			m.Meta = nil
		}
		more = more && yield(m)
		return nil, nil
	})(ctx, op)
	return more
}

// Close ends the subscription. What is in its buffer is dropped. A closed subscription stays closed.
func (s *Subscription[T]) Close() { s.s.close() }
