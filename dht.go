package ringdht

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/stream"
)

// ID is a point on the ring. It is below 2^bits, where bits is the ring's
// (see [WithBits]); a node's ID is drawn by its registry when it joins.
type ID uint64

// String returns the ID in decimal.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Peer is a node as others know it: its ID and the address that it can be
// dialled at.
type Peer struct {
	ID   ID     `json:"id"`
	Addr string `json:"addr"`
}

// String returns "ID (address)".
func (p Peer) String() string { return fmt.Sprintf("%d (%s)", p.ID, p.Addr) }

// LogValue makes a peer a group of two attributes in logs.
func (p Peer) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("id", uint64(p.ID)), slog.String("addr", p.Addr))
}

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

// Hop is one node's answer to a trace.
type Hop struct {
	ID      ID            `json:"id"`
	Elapsed time.Duration `json:"elapsed_ns"` // from the question to this node's answer, as measured by the asker
}

// Counters says what a node has done in its present life. Messages are counted once
// however often they had to be repeated.
type Counters struct {
	Sent          int64 `json:"sent"`          // messages accepted by Send and Cast
	Delivered     int64 `json:"delivered"`     // messages that the handler has had
	Relayed       int64 `json:"relayed"`       // messages passed on for others
	Casts         int64 `json:"casts"`         // of those sent, the ones without a stream
	Retransmitted int64 `json:"retransmitted"` // messages sent again
	Duplicates    int64 `json:"duplicates"`    // messages that arrived again and were dropped
	Panics        int64 `json:"panics"`        // handler calls that panicked
	Detoured      int64 `json:"detoured"`      // frames sent by way of a detour, past a link that cannot be opened
	Requeued      int64 `json:"requeued"`      // frames that waited for a link when it ended, and went another way
	Unlisted      int64 `json:"unlisted"`      // messages not known to be delivered that were too many to list

	Dropped Dropped `json:"dropped"`

	FramesIn int64 `json:"frames_in"` // frames read from all links
	BytesIn  int64 `json:"bytes_in"`
	Reads    int64 `json:"reads"` // system calls: FramesIn / Reads is how many frames shared one
	BytesOut int64 `json:"bytes_out"`
	Writes   int64 `json:"writes"`

	SendBuffer     int64 `json:"send_buffer"`     // bytes in use now, see Limits
	ReceiveBuffer  int64 `json:"receive_buffer"`  // bytes in use now
	HandlerBacklog int64 `json:"handler_backlog"` // bytes in use now
	Queued         int64 `json:"queued"`          // bytes waiting for links now
}

// Dropped counts frames that went no further, by reason. A message sent with
// [Node.Send] is then sent again by its source; one sent with [Node.Cast] is lost.
type Dropped struct {
	QueueFull int64 `json:"queue_full"` // the queue of a link was at its bound
	LinkDown  int64 `json:"link_down"`  // the link to the next hop is gone
	NoRoute   int64 `json:"no_route"`   // nobody has the ID; the source was told
	HopLimit  int64 `json:"hop_limit"`  // too many links crossed; the source was told
	Overshoot int64 `json:"overshoot"`  // passed its sink before it came here
	InboxFull int64 `json:"inbox_full"` // the receive buffer was at its bound
	Stale     int64 `json:"stale"`      // of an earlier life of its stream
	Malformed int64 `json:"malformed"`  // a body that cannot be parsed
	Refused   int64 `json:"refused"`    // requests for a stream beyond Limits.Streams; the source was told
}

func countersOf(c plane.Counters) Counters {
	return Counters{
		Sent: c.Sent, Delivered: c.Delivered, Relayed: c.Relayed, Casts: c.Casts,
		Retransmitted: c.Retransmitted, Duplicates: c.Duplicates, Panics: c.Panics,
		Dropped:  Dropped(c.Dropped),
		Detoured: c.Detoured, Requeued: c.Requeued, Unlisted: c.Unlisted,
		FramesIn: c.FramesIn, BytesIn: c.BytesIn, Reads: c.Reads, BytesOut: c.BytesOut, Writes: c.Writes,
		SendBuffer: c.SendBuffer, ReceiveBuffer: c.ReceiveBuffer, HandlerBacklog: c.HandlerBacklog, Queued: c.Queued,
	}
}

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
