package ringdht

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/status"
)

// Node is a member of a ring, or will be one. Its methods are safe for concurrent use, before
// [Node.Join] and during it as well: those that wait then wait for Join too, and the others say that
// the node is not ready.
//
// A node that loses its registry goes on, and reconnects by itself when the registry, or one in its
// place, is back. A node that was declared dead while it lives (see [ErrEvicted]) joins again by
// itself as a new incarnation. What it had sent and was not acknowledged has no known outcome then,
// and [Node.Incarnation] changes, and perhaps [Node.ID].
type Node struct {
	n   *node.Node
	cfg *node.Config
	err error // of the options
}

// NewNode returns a node that is in no ring yet. Then the program registers its services
// ([Node.Service]), and calls [Node.Join] or [Node.Serve], which say what is wrong with the options.
func NewNode(opts ...NodeOption) *Node {
	cfg, err := newNodeConfig(opts)
	if err != nil {
		cfg, _ = newNodeConfig(nil) // for the methods that do not need the options
	}
	return &Node{node.New(cfg), cfg, err}
}

// Join registers the node with the registry at addr, and returns once it is admitted. It can send
// when the overlay is set up and the tables lead to it, see [Node.Ready]. ctx bounds the joining,
// not the life of the node. Handlers may be called before Join returns, and may use the node.
//
// Join tries once, unless [WithRetry] makes it try again. The error names an invalid option. It
// matches [ErrRegistryLost] if no registry answers at addr; [ErrHandshake] if what answers is not a
// registry of the same ring name, version and codec; [ErrRingFull], [ErrTaken] or [ErrUnreachable]
// if the registry refuses the node; [ErrRebuilding] if it admits no new node for twice its
// handshake timeout; and [ErrClosed] if the node was closed, before the call or during it. After
// another error Join may be called again. A node joins once.
func (n *Node) Join(ctx context.Context, addr string) error {
	if n.err != nil {
		return node.JoinError(addr, n.err)
	}
	return n.n.Join(ctx, addr)
}

// Serve is a node's life in one call. It joins the ring like [Node.Join]. When ctx ends, it leaves
// like [Node.Leave], within grace, and returns nil if both went well. It returns earlier if the node
// is over for good: expelled ([Registry.Expel], [ErrNotMember]), or closed by another goroutine
// ([ErrClosed]). Unless Join has failed, the node is closed then.
func (n *Node) Serve(ctx context.Context, grace time.Duration, addr string) error {
	if err := n.Join(ctx, addr); err != nil {
		return err
	}
	if err := n.n.AwaitEnd(ctx); err != nil {
		return errors.Join(err, n.Close())
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	defer n.n.AwaitClosed(end) // another goroutine may have called Leave
	return n.Leave(end)
}

// Retryable reports whether a later [Node.Join] may succeed, given the error of an earlier one:
//
//   - [ErrRegistryLost]: the registry is not there yet, its name does not resolve, or it is slow.
//   - [ErrRebuilding]; [ErrTaken] and [ErrRingFull], since another node may be about to go.
//   - [ErrUnreachable], since the registry may be busy or not know the node's name yet; but not if
//     the connection comes from another host than the advertised one.
//
// Other errors do not pass, such as invalid options and [ErrHandshake]. An error that wraps several
// passes if one of them does, and none is [ErrHandshake] or [ErrClosed].
func Retryable(err error) bool { return node.Retryable(err) }

// ID is the node's ID, 0 before it has joined. It may change when the node joins again as a new
// incarnation.
func (n *Node) ID() ID { return n.n.ID() }

// Incarnation is a number that no earlier incarnation of any node had. It changes when the node was
// declared dead and joined again. It is 0 before the node has joined.
func (n *Node) Incarnation() uint64 { return n.n.Incarnation() }

// Peer is the node as others know it. Its address may change when it reconnects to the registry.
func (n *Node) Peer() Peer { return n.n.Peer() }

// Ring is the name of the ring, see [WithRing].
func (n *Node) Ring() string { return n.n.Ring() }

// MaxPayload is the longest message of this ring, in bytes; 0 before the node has joined.
func (n *Node) MaxPayload() int { return n.n.MaxPayload() }

// Codec is the ring's codec, see [WithCodec]. Packages that carry values of their own use it.
func (n *Node) Codec() Codec { return n.cfg.Codec }

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

// Flush waits until all messages accepted before the call for these sinks, or for all sinks if none
// are given, are delivered: their handlers have returned. The error is a [status.UndeliveredError]
// (use errors.As) if streams to them have ended with messages that no Flush has listed yet. With a
// callback ([Service.OnUndelivered]) it lists the streams that ended during the call, and those of
// which the callback had not been told when the call began. The error matches the cause of ctx if
// ctx ended first; it may be both. If nothing is outstanding, a ctx that has ended is no error.
func (n *Node) Flush(ctx context.Context, sinks ...ID) error {
	failed, err := n.n.Flush(ctx, sinks)
	return errors.Join(n.undelivered(failed), err)
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
//  1. All other members confirm that they list it nowhere. Then what it has sent is delivered.
//  2. The services wind up: the functions of [Service.OnLeave] are called, and may send.
//  3. It takes no more messages. What has arrived is handled, and handlers may send. Then each
//     source is told how far that came, and gets back the rest, see [status.Undelivered] and
//     [ErrLeft].
//  4. It sends nothing more (Send fails with [ErrNotMember]), and waits for deliveries once more.
//  5. The registry takes it out of all tables. It relays until all peers confirm that, and closes.
//
// A traffic run in which the node takes part goes on without it; the account lists it as lost.
//
// Leave waits for handlers and sinks until ctx ends; for members that do not confirm, and for a
// registry that is away, one lease; in step 1 for half of ctx's time at most, and then it goes on. If
// ctx ends in any step, or has ended before the call, Leave asks the registry to take the node out,
// and closes it at once. Step 2 takes place in any case. The error has what the functions of it return;
// messages not known to be delivered ([status.UndeliveredError], without those that a callback of
// [Service.OnUndelivered] was told); a registry that is away ([ErrRegistryLost]); or an incarnation
// that was declared dead meanwhile ([ErrEvicted]). A second call, or one after Close, returns an
// error that matches [ErrNotMember], and so does one before the node has joined, which closes it.
//
// A handler of the node, a callback for undelivered messages, and any goroutine with their
// context cannot call Leave or [Node.Close], which would wait for them: the call does nothing and
// returns an error that matches [ErrInHandler].
func (n *Node) Leave(ctx context.Context) error {
	failed, err := n.n.Leave(ctx)
	return errors.Join(n.undelivered(failed), err)
}

// Close ends the node at once; [Node.Leave] is the orderly way. The error is a
// [status.UndeliveredError] that lists accepted messages not known to be delivered, without those
// that Flush or a callback of [Service.OnUndelivered] was told; callbacks hear of all that is pending
// before Close returns.
// Close waits for every goroutine of the node, including handlers, whose context ends first; for
// the log see [WithLogger]. Further calls do nothing. Within a handler see [Node.Leave].
func (n *Node) Close() error {
	failed, err := n.n.Close()
	if err != nil {
		return err // and the node is not closed
	}
	return n.undelivered(failed)
}
