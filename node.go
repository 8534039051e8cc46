package ringdht

import (
	"context"
	"errors"
	"iter"

	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/status"
)

// Node is a member of a ring. Its methods are safe for concurrent use.
//
// A node that loses its registry goes on, and reconnects by itself when the registry, or one in its
// place, is back. A node that was declared dead while it lives (see [ErrEvicted]) joins again by
// itself as a new incarnation. What it had sent and was not acknowledged has no known outcome then,
// and [Node.Incarnation] changes, and perhaps [Node.ID].
type Node struct{ n *node.Node }

// Join registers a node with the registry at addr and returns it once it is admitted. It can send
// when the overlay is set up and the tables lead to it, see [Node.Ready]. ctx bounds the joining,
// not the life of the node. handler gets the messages for the node. It may be nil for a node that
// only sends and relays: it acknowledges messages to it, and drops them. It may be called before
// Join returns: if it uses the node, let it wait for a channel that is closed after Join.
//
// Join tries once, unless [WithRetry] makes it try again. The error names an invalid option. It
// matches [ErrRegistryLost] if no registry answers at addr; [ErrHandshake] if what answers is not a
// registry of the same ring name, version and codec; [ErrRingFull], [ErrTaken] or [ErrUnreachable]
// if the registry refuses the node; and [ErrRebuilding] if it admits no new node for twice its
// handshake timeout.
func Join(ctx context.Context, addr string, handler Handler, opts ...NodeOption) (*Node, error) {
	cfg, err := newNodeConfig(opts)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, node.JoinError(addr, err)
	}
	if handler != nil {
		cfg.Handler = func(ctx context.Context, d *plane.Delivery) {
			handler(ctx, Message{Source: ID(d.Source), Hops: d.Hops, Body: d.Body, Cast: d.Cast, cfg: cfg})
		}
	}
	n, err := node.Join(ctx, addr, cfg)
	if err != nil {
		return nil, err
	}
	return &Node{n}, nil
}

// Retryable reports whether a later [Join] may succeed, given the error of an earlier one:
//
//   - [ErrRegistryLost]: the registry is not there yet, its name does not resolve, or it is slow.
//   - [ErrRebuilding]; [ErrTaken] and [ErrRingFull], since another node may be about to go.
//   - [ErrUnreachable], since the registry may be busy or not know the node's name yet; but not if
//     the connection comes from another host than the advertised one.
//
// Other errors do not pass, such as invalid options and [ErrHandshake]. An error that wraps several
// passes if one of them does, and none is [ErrHandshake] or [ErrClosed].
func Retryable(err error) bool { return node.Retryable(err) }

// ID is the node's ID. It may change when the node joins again as a new incarnation.
func (n *Node) ID() ID { return n.n.ID() }

// Incarnation is a number that no earlier incarnation of any node had. It changes when the node was
// declared dead and joined again.
func (n *Node) Incarnation() uint64 { return n.n.Incarnation() }

// Peer is the node as others know it. Its address may change when it reconnects to the registry.
func (n *Node) Peer() Peer { return n.n.Peer() }

// Ring is the name of the ring, see [WithRing].
func (n *Node) Ring() string { return n.n.Ring() }

// MaxPayload is the longest message of this ring, in bytes.
func (n *Node) MaxPayload() int { return n.n.MaxPayload() }

// Table is the routing table in use. It is empty before the overlay is set up. Each call makes a
// new Table, which takes time in proportion to its entries.
func (n *Node) Table() *Table {
	bits, self, epoch, peers := n.n.Table()
	return mustTable(Space(bits), self, epoch, peers)
}

// Self is the node as others see it, with what it says of itself.
func (n *Node) Self() status.MemberInfo { return n.n.Self() }

// Members are the other members that the node has heard of and can send to, clockwise; in rings of
// more than 1,024, a random sample of that size. There are none before the overlay is set up.
func (n *Node) Members() []status.MemberInfo { return n.n.Members() }

// Lookup finds the member that has a name, see [WithName]: by what the node knows, and else by
// asking the registry. The error matches [ErrNoSuchNode] if no member has the name now, and
// [ErrRegistryLost] if the node does not know it and has no connection to the registry.
func (n *Node) Lookup(ctx context.Context, name string) (status.MemberInfo, error) {
	return n.n.Lookup(ctx, name)
}

// Watch yields what the node hears of members, on the caller's goroutine, until ctx ends or the
// node is closed. It begins with those present, the node itself first. Then it waits for members
// that join, leave or die. It also tells that the node itself was declared dead, and has joined
// again.
//
// Each incarnation is told once, and its end once, before the next one of its ID. Only one that
// missed a registry's grace (see [status.MemberEnded]) may come back. A slow loop gets the net
// change, and holds up nothing. There are no other members before the overlay is set up. Watch
// follows up to 1,024 of them: in a larger ring a sample, whose ends it may miss while there is no
// connection to the registry.
func (n *Node) Watch(ctx context.Context) iter.Seq[status.MemberEvent] { return n.n.Watch(ctx) }

// Status is what the node shows of itself: counters, links, streams, latencies, all of its present
// incarnation. It belongs to the caller. Under traffic its figures are not of one instant, since
// they are read one after the other. After Close they are the last ones.
func (n *Node) Status() status.Node { return n.n.Status() }

// Ready waits until the overlay is set up and all tables lead to this node, so that it can send to
// all members, and they to it. If it is ready it returns nil at once, also if ctx has ended.
//
// The error says what was missing when ctx ended. It matches the cause of ctx and [ErrNotReady],
// and [ErrRegistryLost] if there was no connection to the registry. Ready does not wait for a node
// that is closed, whose error matches [ErrClosed], or leaving, whose error matches [ErrNotMember].
// [Node.ReadyNow] never waits.
func (n *Node) Ready(ctx context.Context) error { return n.n.Ready(ctx) }

// ReadyNow returns nil if the node is ready (see [Node.Ready]), and otherwise an error that says
// why not. It is for probes. A node whose registry is away stays ready (see [Node.Disconnected]).
func (n *Node) ReadyNow() error { return n.n.ReadyNow() }

// Disconnected returns a channel that is closed when the connection to the registry ends. Until
// there is another connection, messages flow on, and routes lead around dead nodes, but no node can
// join. The node reconnects by itself; then Disconnected returns another channel, see
// [Node.WaitConnected]. The channel of a closed node stays closed.
func (n *Node) Disconnected() <-chan struct{} { return n.n.Disconnected() }

// WaitConnected waits until there is a connection to the registry. If there is one it returns nil
// at once, also if ctx has ended. The error says why the latest attempt failed. It matches
// [ErrRegistryLost]; [ErrHandshake] if what answers refuses the node: a registry of another ring
// name, version, codec or size of IDs; [ErrOtherRing]; and the cause of ctx, or [ErrClosed] if the
// node is closed.
func (n *Node) WaitConnected(ctx context.Context) error { return n.n.WaitConnected(ctx) }

// Send sends a message to the node with this ID. If it returns nil the message is accepted: that
// node's handler gets it exactly once, after all that this node sent there before, as long as both
// processes live and the ring connects them. Send does not wait for that; [Node.Flush] does. Send
// copies body. It waits, until ctx ends, while the sink's window, this node's send buffer or the
// first link is full, so a slow sink slows down its own sources. Before the first message to a node
// that is not among [Node.Members] it also waits to learn whether that node exists.
//
// With the context of one of this node's handlers it never waits for a window: the message joins a
// backlog, and the error matches [ErrBacklog] if that is full. A message goes to the incarnation of
// the sink to which its stream was opened. If that has ended, and the node has not heard of it yet,
// the message has no known outcome, also if another incarnation has taken its place.
//
// After any error the message was not sent. The error matches
//
//   - the cause of ctx, or [ErrTooLarge] if body is longer than the ring allows;
//   - [ErrNoSuchNode] if no node in the ring has this ID; [ErrLeft] if that node is about to leave;
//     [ErrRefused] if it has no room for another stream; [ErrGone] if its incarnation ended while
//     Send waited;
//   - [ErrNotReady] before the overlay is set up, and while this node joins again; [ErrEvicted] if
//     it was declared dead while Send waited; [ErrNotMember] if it is about to leave; [ErrClosed].
func (n *Node) Send(ctx context.Context, to ID, body []byte) error { return n.n.Send(ctx, to, body) }

// SendBatch sends messages in order, each as [Node.Send] does. Short ones then cost their source
// half as much. It returns how many were accepted. The error says why the next one was not.
func (n *Node) SendBatch(ctx context.Context, to ID, bodies [][]byte) (accepted int, err error) {
	return n.n.SendBatch(ctx, to, bodies)
}

// SendValue encodes v with the node's codec and sends it like [Node.Send]. The receiver calls
// [Message.Decode]. A value that the codec cannot carry is an error, and nothing is sent; [Msgpack]
// and [JSON] say which values those are.
func (n *Node) SendValue(ctx context.Context, to ID, v any) error { return n.n.SendValue(ctx, to, v) }

// Cast sends a message without a stream: it is not numbered, acknowledged or repeated, and is lost
// where a queue is full or a link breaks. Cast copies body. It waits, until ctx ends, only while
// the first link is congested. Casts arrive in no particular order, and the handler gets them one
// at a time. [Node.Flush] does not wait for them. The errors are those of [Node.Send], but a cast
// to an ID that no node has may be lost without an error.
func (n *Node) Cast(ctx context.Context, to ID, body []byte) error { return n.n.Cast(ctx, to, body) }

// Flush waits until all messages accepted before the call for these sinks, or for all sinks if none
// are given, are delivered: their handlers have returned. The error is an [UndeliveredError] (use
// errors.As) if streams to them have ended with messages that no Flush has listed yet. With a
// callback ([WithUndelivered]) it lists the streams that ended during the call, and those of which
// the callback had not been told when the call began. The error matches the cause of ctx if ctx
// ended first; it may be both. If nothing is outstanding, a ctx that has ended is no error.
func (n *Node) Flush(ctx context.Context, sinks ...ID) error {
	failed, err := n.n.Flush(ctx, sinks)
	return errors.Join(undelivered(failed), err)
}

// Trace asks each node on the route to another to answer, like a traceroute. The first hop is the
// first node after this one, and the last is to; a node has no hops to itself. Answers travel on
// around the ring, so times are round trips that need not grow from hop to hop. A lost question or
// answer is repeated after half a second. The error matches [ErrNoSuchNode] if no node has the ID,
// [ErrNotReady] before the overlay is set up, and the cause of ctx if ctx ended first. It comes
// with the hops that have answered.
func (n *Node) Trace(ctx context.Context, to ID) ([]status.Hop, error) { return n.n.Trace(ctx, to) }

// Leave ends the membership in good order: of every message to and from the node both ends know
// whether it was handled.
//
//  1. It waits until everything sent is delivered, as [Node.Flush] does. Messages still come in.
//  2. It takes no more messages. What has arrived is handled, and handlers may send. Then each
//     source is told how far that came, and gets back the rest, see [Undelivered] and [ErrLeft].
//  3. It sends nothing more (Send fails with [ErrNotMember]), and waits until what handlers have
//     sent is delivered.
//  4. The registry takes the node out of all tables. The node relays until all peers have
//     confirmed that, and closes.
//
// A traffic run in which the node takes part goes on without it; the account lists it as lost.
//
// Leave waits for handlers and sinks until ctx ends; for sources that do not confirm, and for a
// registry that is away, one lease. If ctx ends in any step, or has ended before the call, Leave
// asks the registry to take the node out, and closes it without waiting for the answer. The error
// says what could not be done: messages not known to be delivered ([UndeliveredError], without
// those that the callback of [WithUndelivered] was told), a registry that is away
// ([ErrRegistryLost]), or an incarnation that was declared dead meanwhile ([ErrEvicted]). A second
// call, or one after Close, returns an error that matches [ErrNotMember].
//
// A handler of the node, its callback for undelivered messages, and any goroutine with their
// context cannot call Leave or [Node.Close], which would wait for them: the call does nothing and
// returns an error that matches [ErrInHandler].
func (n *Node) Leave(ctx context.Context) error {
	failed, err := n.n.Leave(ctx)
	return errors.Join(undelivered(failed), err)
}

// Close ends the node at once; [Node.Leave] is the orderly way. The error is an [UndeliveredError]
// that lists accepted messages not known to be delivered, without those that Flush or the callback
// of [WithUndelivered] was told; the callback hears of all that is pending before Close returns.
// Close waits for every goroutine of the node, including handlers, whose context ends first; for
// the log see [WithLogger]. Further calls do nothing. Within a handler see [Node.Leave].
func (n *Node) Close() error {
	failed, err := n.n.Close()
	if err != nil {
		return err // and the node is not closed
	}
	return undelivered(failed)
}
