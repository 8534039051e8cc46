package ringdht

import (
	"context"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/status"
)

// ID is a point on the ring, below 2^bits (see [WithBits]). The registry draws a node's
// ID when it joins. String returns it in decimal.
type ID = status.ID

// Peer is a node as others know it: its ID, and the address at which others dial it.
type Peer = status.Peer

// Message is what a [Handler] gets.
type Message struct {
	Source ID
	Hops   int    // links crossed on the way, 0 from the node to itself
	Body   []byte // borrowed: valid until the handler returns, copy what is kept
	Cast   bool   // sent by [Node.Cast]: not numbered, not repeated if lost
	node   *Node  // that got it
}

// Decode decodes the body with the node's codec, for messages that were sent
// with [Node.SendValue].
func (m Message) Decode(v any) error { return m.node.cfg.Codec.Decode(m.Body, v) }

// Handler takes the messages sent to a node, on goroutines of the node's: in order and
// one at a time for each source, at once for different sources up to [Limits].Handlers. (Casts make
// a row of their own, over all sources.) It may send, and wait; while it does, the
// messages of the same source wait, and in the end that source, and nothing else: what a
// node receives and relays is others' business. (Handlers that have taken some
// microseconds each so far are called by who receives, which is faster. If one of them
// waits then, someone else receives from then on: at once if it waits to send, flush or
// trace, with the ctx it was given, and within some 10 ms otherwise.) If it panics, the
// panic is logged, to standard error if there is no logger, and counted, and the message
// counts as delivered. It must return: runtime.Goexit, and so t.Fatal, in it stops that
// source's messages for good, and is logged as a panic is.
//
// ctx ends when the node closes. Use it for sends out of the handler: it tells
// them apart from those of other goroutines, so that handlers that send to each
// other never wait for each other (see [Node.Send]). A handler should not call
// [Node.Flush], which waits for the handlers of others, and cannot call [Node.Leave] or
// [Node.Close], which would wait for this one: they return [ErrInHandler]. They may be
// called by a goroutine that the handler starts.
type Handler func(ctx context.Context, m Message)

// Errors to act on. What is returned wraps them with what happened to whom, and
// what to do next.
var (
	// ErrClosed: the node or registry was closed. It matches net.ErrClosed.
	ErrClosed = errs.ErrClosed
	// ErrNotReady: the overlay is not set up, or not by everybody yet.
	ErrNotReady = errs.ErrNotReady
	// ErrNoSuchNode: nobody in the ring has the ID that a message was sent to.
	ErrNoSuchNode = stream.ErrNoSuchNode
	// ErrRefused: the sink holds as many incoming streams as it may; or it remembers a
	// later life of this node, which cannot have a new one now.
	ErrRefused = stream.ErrRefused
	// ErrGone: the sink has died, or left.
	ErrGone = stream.ErrGone
	// ErrLeft: the sink has left in good order, or is about to, and did not handle the
	// message. It matches ErrGone.
	ErrLeft = stream.ErrLeft
	// ErrReset: the sink has no memory of the stream: it is another life.
	ErrReset = stream.ErrReset
	// ErrTooLarge: a message is longer than the ring allows, see WithMaxPayload.
	ErrTooLarge = plane.ErrTooLarge
	// ErrBacklog: handlers have sent more than windows and Limits.HandlerBacklog hold.
	ErrBacklog = plane.ErrBacklog
	// ErrBusy: a traffic run is going on.
	ErrBusy = errs.ErrBusy
	// ErrRebuilding: the registry has been restarted, and those of the ring that was
	// have time to come back before somebody new is admitted. Join again in a while.
	ErrRebuilding = errs.ErrRebuilding
	// ErrRegistryLost: the connection to the registry has ended.
	ErrRegistryLost = errs.ErrRegistryLost
	// ErrHandshake: the other side is not a ringdht program, or of another
	// version, ring or codec, or not the node it was taken for; or a registry does not
	// take what the node says of itself, such as an ID that its ring does not have.
	ErrHandshake = errs.ErrHandshake

	// ErrRingFull: every ID is taken; widen the space with WithBits.
	ErrRingFull = errs.ErrRingFull
	// ErrAddressTaken: a node is registered at that address already.
	ErrAddressTaken = errs.ErrAddressTaken
	// ErrIDTaken: the ID asked for with WithID is another node's.
	ErrIDTaken = errs.ErrIDTaken
	// ErrHostMismatch: the advertised host is not where the connection comes
	// from; see WithAdvertise.
	ErrHostMismatch = errs.ErrHostMismatch
	// ErrUnreachable: the registry could not dial the advertised address back.
	ErrUnreachable = errs.ErrUnreachable
	// ErrEvicted: the node lives, and was declared dead, since it was paused or cut off
	// for too long; or a member remembers a later life of its ID, which a registry whose
	// clock was ahead had given. It joins again by itself as a new incarnation.
	ErrEvicted = errs.ErrEvicted
	// ErrInHandler: a handler or callback has called what would wait for it.
	ErrInHandler = errs.ErrInHandler
	// ErrNotMember: the node is not registered, or not any more.
	ErrNotMember = errs.ErrNotMember
)
