package node

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/reentry"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// Config is the configuration of a node. The options of the root package fill and check it.
type Config struct {
	handshake.Config
	Listen    string
	Advertise string
	Traffic   bool
	Retry     bool // Join tries again while the reason may pass
	Limits    status.Limits
	ID        *status.ID                    // the ID to ask for
	Name      string                        // the name to ask for; empty: none
	Tags      map[string]string             // of the node
	Services  []Service                     // by port; the first has the empty name
	OnLeave   []func(context.Context) error // Leave calls them, the last one first
}

// Node is a member of a ring. Its methods are safe for concurrent use. The root package
// documents those that it exports.
type Node struct {
	// static after New, but for the services of cfg and noted, see mustBeNew
	cfg   *Config
	noted []*noted // the services with keys, by name

	// Owned by the goroutine that reads from the registry: that of Join, and then controlLoop.
	recoveries     membership.Recoveries // of the incarnation, if it has keys
	registryNumber uint64                // of the present connection
	began          time.Time
	owner          uint64 // marks its handlers, see inHandler

	// An attempt to join writes these before it starts its goroutines. Others read them after they
	// have seen an incarnation that has begun.
	security   *credentials // nil in an open ring
	registry   string       // its address
	info       *ring.Info   // what it says of itself
	registered []string     // all services but that with the empty name
	token      uint64       // proves to the registry's probe that it has found this node
	accepting  context.Context
	stopped    context.CancelFunc // ends accepting, and with it what a failed attempt has started

	unlisted     chan struct{} // of one slot: the registry's answer to Leaving
	deregistered chan error    // the registry's answer to Deregister
	leaveBegun   chan struct{} // closed when Leave begins
	traceSlots   chan struct{} // bound the traces that the registry asks for
	lookups      *lookups
	follows      follows

	ctx  context.Context
	stop context.CancelCauseFunc
	wg   sync.WaitGroup

	unlists   atomic.Bool          // the latest registry answers Leaving
	expelled  atomic.Bool          // for good; the latest incarnation is over, or about to be
	members   notify.Change        // the node has heard of members, or its own incarnation has begun or ended
	forsaking membership.Forsaking // of controlLoop

	inc            atomic.Pointer[incarnation]  // the present one, or the last until the next begins
	ctl            atomic.Pointer[control.Conn] // the latest connection to the registry
	maxIncarnation atomicMax                    // the greatest incarnation of any node that this node knows of
	toldMax        atomicMax                    // the greatest that a registry has told it of

	mu            sync.Mutex // guards what follows
	changed       notify.Change
	phase         phase
	unnamed       bool         // the service with the empty name was registered
	listener      net.Listener // of the latest attempt to join
	addr          string       // advertised, as the registry knows it; see register
	leaving       bool
	unlisting     bool // a registry that answers Leaving shall hear it over each connection
	deregistering bool // the registry was asked to take the node out, so it may not tell it of newcomers behind it
	released      bool // the registry has taken the node out
	closed        bool
	disconnected  chan struct{} // closed while there is no connection to the registry
	outage        outage        // why there is none
	dead          goneIncarnations
	departed      goneIncarnations // they have left in good order
	parting       goneIncarnations // they are about to leave
	rejoins       rejoinLimit
	leftover      []plane.Undelivered // of earlier incarnations
}

// New returns a node that is in no ring yet. cfg is prepared.
func New(cfg *Config) *Node {
	n := &Node{
		cfg: cfg, began: time.Now(), owner: reentry.NewOwner(), unlisted: make(chan struct{}, 1), deregistered: make(chan error, 1), leaveBegun: make(chan struct{}),
		traceSlots: make(chan struct{}, maxTraces), lookups: newLookups(), disconnected: make(chan struct{}),
	}
	close(n.disconnected)
	n.ctx, n.stop = context.WithCancelCause(context.Background())
	n.inc.Store(n.unjoined())
	return n
}

// Token proves to the registry's probe that it has found this node.
func (n *Node) Token() uint64 { return n.token }

// Config is the configuration of the node.
func (n *Node) Config() *Config { return n.cfg }

// ID is the ID of the present incarnation.
func (n *Node) ID() status.ID { return status.ID(n.inc.Load().self.ID) }

// Incarnation is the number of the present incarnation.
func (n *Node) Incarnation() uint64 { return n.inc.Load().self.Incarnation }

// Peer is the node as others know it.
func (n *Node) Peer() status.Peer { return status.Peer{ID: n.ID(), Addr: n.address()} }

// label names the node in errors.
func (n *Node) label() string {
	if inc := n.inc.Load(); inc.begun() {
		return fmt.Sprintf("node %d", inc.self.ID)
	}
	return "new node"
}

func (n *Node) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr
}

// Ring is the name of the ring.
func (n *Node) Ring() string { return n.cfg.RingName }

// MaxPayload is the longest message of this ring, in bytes.
func (n *Node) MaxPayload() int { return int(n.inc.Load().self.MaxPayload) }

// Table is the routing table in use, with what the root package needs to make a Table of it.
func (n *Node) Table() (bits int, self status.ID, epoch uint64, peers []status.Peer) {
	inc := n.inc.Load()
	t := inc.table.Load()
	return int(inc.self.Bits), status.ID(inc.self.ID), t.epoch, t.peers
}

// Await returns nil once done reports true. It calls done with mu held, at first and after
// each change. A change that came before the end of ctx, or of the node, is looked at first.
func (n *Node) Await(ctx context.Context, done func() bool) error {
	return n.changed.Await(ctx, n.ctx, &n.mu, done)
}

// Close ends the node at once, and returns what is undelivered and was not told before. It
// waits for every goroutine of the node.
func (n *Node) Close() ([]plane.Undelivered, error) {
	if n.inHandler(context.Background()) {
		return nil, fmt.Errorf("ringdht: %s: closing: %w: call Close from another goroutine", n.label(), errs.ErrInHandler)
	}
	return n.close(), nil
}

func (n *Node) close() []plane.Undelivered {
	n.mu.Lock()
	n.closed = true
	listener := n.listener
	n.mu.Unlock()
	n.stop(errs.ErrClosed)
	if listener != nil {
		listener.Close()
	}
	if ctl := n.ctl.Load(); ctl != nil {
		ctl.Close()
	}
	n.end(n.inc.Load(), errs.ErrClosed)
	n.wg.Wait()
	n.cfg.Records.Close()
	return n.takeLeftover(nil)
}
