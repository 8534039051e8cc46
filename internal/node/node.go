package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/status"
)

// Config is what a node goes by. The root package's options fill it and check it.
type Config struct {
	handshake.Config
	Listen      string
	Advertise   string
	Traffic     bool
	Limits      status.Limits
	ID          *status.ID                             // asked for
	Handler     func(context.Context, *plane.Delivery) // nil for a node that only sends and relays
	Undelivered func(plane.Undelivered)                // may be nil
}

// Node is a member of a ring. Its methods are safe for concurrent use.
//
// A node that loses its registry goes on, and connects again by itself when the
// registry, or another in its place, is back. One that was declared dead though it
// lives, because its process was stopped or cut off for longer than the lease, joins
// again by itself as a new incarnation: what it had sent and was not acknowledged has
// no known outcome then, and [Node.Incarnation] changes, as may [Node.ID].
type Node struct {
	// static after Join
	cfg      *Config
	registry string
	listener net.Listener
	token    uint64 // proves to the registry's probe that it has found this node
	owner    uint64 // marks its handlers, see [Node.inHandler]

	deregistered chan error    // the registry's answer to a deregistration
	leaveBegun   chan struct{} // closed when Leave begins
	traceSlots   chan struct{} // slots for the traces that the registry asks for

	ctx  context.Context
	stop context.CancelCauseFunc
	wg   sync.WaitGroup

	inc            atomic.Pointer[incarnation]  // the present one, or the last while there is none
	ctl            atomic.Pointer[control.Conn] // to the registry, the latest
	maxIncarnation atomicMax                    // the greatest life of any node that it knows of

	mu            sync.Mutex // guards what follows
	addr          string     // advertised, as the registry knows it; see register
	leaving       bool
	deregistering bool // the registry is to take it out: newcomers behind it may not be told to it
	released      bool // the registry has let go of it
	closed        bool
	disconnected  chan struct{} // closed while there is no connection to the registry
	outage        outage        // why
	changed       notify.Change
	dead          goneIncarnations // of other nodes
	departed      goneIncarnations // of those that have left
	rejoins       rejoinLimit
	leftover      []plane.Undelivered
}

// Join registers a node with the registry at addr and returns it when it has been
// admitted. Messages can be sent once the overlay is set up and leads to the node, see
// [Node.Ready].
//
// ctx bounds the joining, not the node's life. handler takes what others send; it
// may be nil for a node that only sends and relays, which then drops messages
// after acknowledging them.
//
// The error matches [ErrRingFull], [ErrAddressTaken], [ErrIDTaken], [ErrHostMismatch]
// or [ErrUnreachable] when the registry refuses the node, [ErrRebuilding] when it has
// taken another's place and members of the ring that was may still come back, and
// [ErrHandshake] when what answers at addr is not a registry of the same ring, version
// and codec.
func Join(ctx context.Context, addr string, cfg *Config) (*Node, error) {
	n := &Node{
		cfg: cfg, registry: addr, token: rand.Uint64(), owner: plane.NewOwner(),
		deregistered: make(chan error, 1), leaveBegun: make(chan struct{}), traceSlots: make(chan struct{}, maxTraces), disconnected: make(chan struct{}),
	}
	n.ctx, n.stop = context.WithCancelCause(context.Background())
	if err := n.join(ctx); err != nil {
		n.Close()
		return nil, fmt.Errorf("ringdht: joining the registry at %s: %w", addr, err)
	}
	return n, nil
}

func (n *Node) join(ctx context.Context) (err error) {
	if n.listener, err = n.cfg.Transport.Listen(ctx, n.cfg.Listen); err != nil {
		return fmt.Errorf("listening for peers: %w", err)
	}
	if err := n.connect(ctx, false); err != nil {
		return err
	}
	n.wg.Go(n.controlLoop)
	n.cfg.Log.Info("joined", "node", n.Peer(), "members", n.Status().Members)
	return nil
}

// Token proves to the registry's probe that it has found this node.
func (n *Node) Token() uint64 { return n.token }

// Config is what the node goes by.
func (n *Node) Config() *Config { return n.cfg }

// ID is the node's ID. It may change when the node was declared dead and joined again.
func (n *Node) ID() status.ID { return status.ID(n.inc.Load().self.ID) }

// Incarnation is a number that no earlier incarnation of any node had. It
// changes when the node was declared dead and joined again.
func (n *Node) Incarnation() uint64 { return n.inc.Load().self.Incarnation }

// Peer is the node as others know it. Its address may change when the node connects to the
// registry again.
func (n *Node) Peer() status.Peer { return status.Peer{ID: n.ID(), Addr: n.address()} }

func (n *Node) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr
}

// Ring is the name of the ring, see [WithRing].
func (n *Node) Ring() string { return n.cfg.RingName }

// MaxPayload is the longest message of this ring, in bytes.
func (n *Node) MaxPayload() int { return int(n.inc.Load().self.MaxPayload) }

// Table is the routing table in use. It is empty before the overlay is set up.
func (n *Node) Table() (bits int, self status.ID, epoch uint64, peers []status.Peer) {
	inc := n.inc.Load()
	t := inc.table.Load()
	return int(inc.self.Bits), status.ID(inc.self.ID), t.epoch, t.peers
}

// Members are the IDs of the other members that can be sent to, as far as the node has
// heard; in rings of more than 1,024, a random sample of so many.
func (n *Node) Members() []status.ID {
	others := n.inc.Load().local.Load().Others
	ids := make([]status.ID, len(others))
	for i, id := range others {
		ids[i] = status.ID(id)
	}
	return ids
}

// Await returns nil once done reports true. It calls done with mu held, at first and after
// each change. A change that came before the end of ctx, or of the node, is looked at first.
func (n *Node) Await(ctx context.Context, done func() bool) error {
	return n.changed.Await(ctx, n.ctx, &n.mu, done)
}

// Close ends the node at once. The error is an [UndeliveredError] that lists what was
// accepted, is not known to be delivered and was told neither by Flush nor by the callback
// of [WithUndelivered], which hears of all that is pending now before Close returns;
// [Node.Leave] is the orderly way. It waits for every goroutine of the node, handlers
// included, whose context ends first; for its log see [WithLogger]. More calls do nothing.
// Within a handler see [Node.Leave].
func (n *Node) Close() ([]plane.Undelivered, error) {
	if n.inHandler(context.Background()) {
		return nil, fmt.Errorf("ringdht: node %d: closing: %w: call Close from another goroutine", n.ID(), errs.ErrInHandler)
	}
	return n.close(), nil
}

func (n *Node) close() []plane.Undelivered {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.stop(errs.ErrClosed)
	if n.listener != nil {
		n.listener.Close()
	}
	if ctl := n.ctl.Load(); ctl != nil {
		ctl.Close()
	}
	if inc := n.inc.Load(); inc != nil {
		n.end(inc, errs.ErrClosed)
	}
	n.wg.Wait()
	n.cfg.Records.Close()
	return n.takeLeftover(nil)
}
