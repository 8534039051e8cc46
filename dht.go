package ringdht

import (
	"context"
	"errors"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/unwrap"
	"github.com/x/ringdht/status"
)

// ID is a point on the ring: an unsigned integer of 64 bits, below 2^bits (see [WithBits]). The
// registry draws a node's ID when it joins. String returns it in decimal.
type ID = status.ID

// Peer is a node as others know it. Its fields are ID, and Addr: the address at which others dial
// it, "host:port". String returns "ID (address)".
type Peer = status.Peer

// Message is one message for a [Handler].
type Message struct {
	Source ID
	Hops   int          // links crossed on the way; 0 from the node to itself
	Body   []byte       // borrowed: valid until the handler returns; copy what is kept
	Cast   bool         // sent by [Service.Cast]: not numbered, not repeated if lost
	cfg    *node.Config // of the node that got it; nil if a program made the message
}

// Decode decodes the body of a message that was sent with [Service.SendValue], with the node's codec;
// for a Message that a test has made, with [Msgpack].
func (m Message) Decode(v any) error {
	if m.cfg == nil {
		return Msgpack().Decode(m.Body, v)
	}
	return m.cfg.Codec.Decode(m.Body, v)
}

// Handler handles the messages sent to a service, on goroutines of the node: in order and one at a
// time for each source, concurrently for different sources, up to [status.Limits].Handlers calls of
// a service at once. Casts of all sources to a service are handled one at a time, in parallel to
// messages.
//
// A handler may send and may block. While it blocks, the messages of its source for this service
// wait, and in the end that source. All others go on, until Limits.Handlers calls of the service
// block at once. Another service is not held up even then.
//
// Handlers that have been quick so far are called by the goroutine that reads from the connection.
// If one of them blocks, another goroutine goes on reading: at once if it blocks in Send, Cast,
// Flush or Trace with its own ctx, and within 10 ms in any other case.
//
// ctx ends when the node closes. A handler should send with it: the node then knows that a handler
// sends, and does not make it wait for a window, so that handlers that send to each other cannot
// deadlock (see [Service.Send]). A handler should not call [Node.Flush], which waits for other
// handlers. It cannot call [Node.Leave] or [Node.Close], which would wait for it: they return
// [ErrInHandler]. A goroutine that the handler starts may call them, with another ctx.
//
// If a handler panics, the panic is logged (to standard error without a logger) and counted, and
// the message counts as delivered. A handler must return: runtime.Goexit, and so t.Fatal, stops the
// messages of its source for good, and is logged as a panic is.
type Handler func(ctx context.Context, m Message)

// Errors that a program can act on. Each returned error wraps one of them with what happened, to
// which node, and what to do next.
var (
	// ErrClosed: the node or registry was closed. It matches net.ErrClosed.
	ErrClosed = errs.ErrClosed
	// ErrNotReady: the overlay is not set up, or not all nodes have their tables yet.
	ErrNotReady = errs.ErrNotReady
	// ErrNoSuchNode: no node in the ring has the ID.
	ErrNoSuchNode = stream.ErrNoSuchNode
	// ErrRefused: the sink has all the incoming streams that it may have; or it remembers a later
	// incarnation of this node, and this node cannot get a new one now.
	ErrRefused = stream.ErrRefused
	// ErrNoService: the sink has no service of the message's name, or no handler for it.
	ErrNoService = stream.ErrNoService
	// ErrGone: the sink has died or left, see [status.Undelivered].Err; or it is another incarnation of the
	// node, which does not know the stream.
	ErrGone = stream.ErrGone
	// ErrLeft: the sink has left in good order, or is about to, and did not handle the message. It
	// matches ErrGone.
	ErrLeft = stream.ErrLeft
	// ErrTooLarge: the message is longer than the ring allows, see [WithMaxPayload].
	ErrTooLarge = plane.ErrTooLarge
	// ErrBacklog: handlers have sent more than windows and Limits.HandlerBacklog hold.
	ErrBacklog = plane.ErrBacklog
	// ErrBusy: a traffic run is under way, or a change of the ring's key.
	ErrBusy = errs.ErrBusy
	// ErrRebuilding: the registry admits no new node yet. It was restarted, and the members have
	// time to come back; or the ID that was asked for with [WithID] is that of a suspect member; or
	// it cannot write what [WithState] keeps. Join again later.
	ErrRebuilding = errs.ErrRebuilding
	// ErrRegistryLost: there is no connection to the registry.
	ErrRegistryLost = errs.ErrRegistryLost
	// ErrHandshake: the other side is not a ringdht program, has another version, ring name or codec,
	// or is not what it should be; or a registry rejects the node's credentials, or what it says of
	// itself, such as an ID that its ring does not have.
	ErrHandshake = errs.ErrHandshake

	// ErrRingFull: every ID is taken; widen the space with [WithBits].
	ErrRingFull = errs.ErrRingFull
	// ErrTaken: another node has the address, or the ID that was asked for with [WithID].
	ErrTaken = errs.ErrTaken
	// ErrUnreachable: the registry could not dial the advertised address, or the connection comes
	// from another host: see [WithAdvertise].
	ErrUnreachable = errs.ErrUnreachable
	// ErrEvicted: the node lives but was declared dead, since it was stopped or cut off for too
	// long; or a member remembers a later incarnation of its ID, from a registry whose clock was
	// ahead. The node joins again by itself as a new incarnation.
	ErrEvicted = errs.ErrEvicted
	// ErrOtherRing: the registry's ring is not the one that this node is a member of, though it has
	// the same name. Messages to members of the node's ring flow on. When registries have answered so
	// for 20 leases, the node gives up its incarnation ([ErrEvicted]) and joins as a new node.
	ErrOtherRing = errs.ErrOtherRing
	// ErrInHandler: a handler or callback has called a method that would wait for it.
	ErrInHandler = errs.ErrInHandler
	// ErrNotMember: the node is not registered, or not any more: see [Registry.Expel].
	ErrNotMember = errs.ErrNotMember
)

// undelivered makes the error of what ended streams left, nil if they left nothing.
func (n *Node) undelivered(all []plane.Undelivered) error {
	if len(all) == 0 {
		return nil
	}
	e := &status.UndeliveredError{Streams: make([]status.Undelivered, 0, len(all))}
	for _, u := range all {
		if u.Many {
			e.Unlisted += u.Messages
			e.UnlistedErr = errors.Join(e.UnlistedErr, u.Err)
		} else {
			e.Streams = append(e.Streams, n.undeliveredOf(u))
		}
	}
	return e
}

func (n *Node) undeliveredOf(u plane.Undelivered) status.Undelivered {
	return status.Undelivered{
		Sink: ID(u.Sink), Service: n.cfg.Services[u.Service].Name,
		Messages: u.Messages, NotHandled: u.NotHandled, Bodies: u.Bodies, Err: u.Err,
	}
}

func init() { // for tests within this module
	unwrap.Node = func(n any) *node.Node { return n.(*Node).n }
	unwrap.Registry = func(r any) *registry.Registry { return r.(*Registry).r }
	unwrap.WithConfig = func(f func(*handshake.Config)) any { return commonOption(f) }
	unwrap.WithNodeConfig = func(f func(*node.Config)) any { return nodeOption(f) }
	unwrap.WithRegistryConfig = func(f func(*registry.Config)) any { return registryOption(f) }
}
