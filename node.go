package ringdht

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/wire"
)

// The ports of a node: which of its parts a message is for.
const (
	portHandler = 0
	portTraffic = 0x80 // and the low bits of the run's number
)

// Node is a member of a ring. Its methods are safe for concurrent use.
type Node struct {
	// static after Join
	cfg      *nodeConfig
	handler  Handler
	registry string
	listener net.Listener
	addr     string // advertised
	token    uint64 // proves to the registry's probe that it has found this node
	self     control.Registered
	space    Space
	ctl      *control.Conn
	plane    *plane.Plane
	traffic  *traffic

	registered chan struct{} // closed when self and plane are set
	ready      chan struct{} // closed when the overlay is ready for the first time
	lost       chan struct{} // closed when the connection to the registry has ended
	manifests  chan control.Manifest
	left       chan error    // the registry's answer to a deregistration
	tracing    chan struct{} // slots for the traces that the registry asks for

	ctx  context.Context
	stop context.CancelCauseFunc
	wg   sync.WaitGroup

	table    atomic.Pointer[Table]
	linked   atomic.Pointer[control.Manifest] // the latest whose links are up here
	manifest atomic.Pointer[control.Manifest] // the latest whose links are up everywhere
	failure  atomic.Pointer[error]            // of the latest links

	mu      sync.Mutex
	leaving bool
	closed  bool
}

// Join registers a node with the registry at addr and returns it when it has been
// admitted. Messages can be sent once the overlay is set up, see [Node.Ready].
//
// ctx bounds the joining, not the node's life. handler takes what others send; it
// may be nil for a node that only sends and relays, which then drops messages
// after acknowledging them.
//
// The error matches [ErrRingFull], [ErrAddressTaken], [ErrHostMismatch] or
// [ErrUnreachable] when the registry refuses the node, and [ErrHandshake] when
// what answers at addr is not a registry of the same ring, version and codec.
func Join(ctx context.Context, addr string, handler Handler, opts ...NodeOption) (*Node, error) {
	cfg, err := newNodeConfig(opts)
	if err != nil {
		return nil, fmt.Errorf("ringdht: joining %s: %w", addr, err)
	}
	n := &Node{
		cfg: cfg, handler: handler, registry: addr, token: rand.Uint64(),
		registered: make(chan struct{}), ready: make(chan struct{}), lost: make(chan struct{}),
		manifests: make(chan control.Manifest, 1), left: make(chan error, 1), tracing: make(chan struct{}, maxTraces),
	}
	n.ctx, n.stop = context.WithCancelCause(context.Background())
	if err := n.join(ctx); err != nil {
		n.Close()
		return nil, fmt.Errorf("ringdht: joining the registry at %s: %w", addr, err)
	}
	return n, nil
}

func (n *Node) join(ctx context.Context) (err error) {
	if n.listener, err = n.cfg.transport.Listen(ctx, n.cfg.listen); err != nil {
		return fmt.Errorf("listening for peers: %w", err)
	}
	conn, _, err := n.cfg.dial(ctx, n.registry, wire.Hello{Role: wire.RoleMember})
	if err != nil {
		return err
	}
	n.ctl = control.NewConn(conn, n.cfg.codec, wire.MaxLength+wire.PrefixSize)
	if n.addr, err = n.advertised(); err != nil {
		return err
	}
	// The registry dials back before it admits, so accepting starts first.
	n.wg.Go(func() { n.cfg.accept(n.ctx, n.listener, n.wg.Go, n.serve) })

	stop := context.AfterFunc(ctx, n.ctl.Close) // not a deadline: Recv sets its own
	defer stop()
	n.ctl.SetLease(3 * n.cfg.handshake) // its answer waits for its own dialling back
	n.ctl.Send(control.TypeRegister, control.Register{
		Addr: n.addr, Other: n.cfg.advertise != "", Traffic: n.cfg.traffic, Token: n.token,
	})
	t, body, err := n.ctl.Recv()
	if err == nil {
		err = n.admitted(t, body)
	}
	if !stop() && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	n.wg.Go(n.converse)
	n.wg.Go(n.beat)
	n.wg.Go(n.relink)
	n.cfg.log.Info("joined", "node", n.Peer(), "members", n.self.Members)
	return nil
}

// advertised is the address that peers are to dial.
func (n *Node) advertised() (string, error) {
	if n.cfg.advertise != "" {
		return n.cfg.advertise, nil
	}
	host, _, _ := net.SplitHostPort(n.cfg.listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		local, _, err := net.SplitHostPort(n.ctl.LocalAddr().String())
		if err != nil {
			return "", fmt.Errorf("the transport's address %q is not host:port", n.ctl.LocalAddr())
		}
		host = local
	}
	_, port, err := net.SplitHostPort(n.listener.Addr().String())
	if err != nil {
		return "", fmt.Errorf("the transport's address %q is not host:port", n.listener.Addr())
	}
	return net.JoinHostPort(host, port), nil
}

// admitted takes the registry's answer to the registration.
func (n *Node) admitted(t wire.Type, body []byte) error {
	switch t {
	case control.TypeRefused:
		return n.refusal(body)
	case control.TypeRegistered:
	default:
		return fmt.Errorf("the registry answered with an unexpected message of type %d", t)
	}
	if err := n.ctl.Decode(body, &n.self); err != nil {
		return err
	}
	s := &n.self
	n.space = Space(s.Bits)
	if s.Bits < 1 || s.Bits > 64 || !n.space.Contains(ID(s.ID)) || s.MaxPayload < 4 || s.MaxPayload > maxMaxPayload ||
		s.HopLimit < 1 || s.HopLimit > 1<<16-1 || s.Lease < 1 || s.Lease > maxLease.Milliseconds() {
		return fmt.Errorf("the registry's terms make no sense: %+v", *s)
	}
	if err := n.cfg.limits.fit(s.MaxPayload); err != nil {
		return err
	}
	table, _ := newTable(n.space, ID(s.ID), 0, nil)
	n.table.Store(table)
	n.manifest.Store(new(control.Manifest))
	n.traffic = newTraffic(n)
	n.plane = plane.New(plane.Config{
		Self: s.ID, Life: s.Life, Bits: s.Bits, MaxPayload: s.MaxPayload, HopLimit: s.HopLimit,
		Limits: n.cfg.limits.plane(), Deliver: n.deliver, Log: n.cfg.log,
		LostTraffic: n.traffic.lost,
	})
	n.ctl.SetLease(time.Duration(s.Lease) * time.Millisecond)
	close(n.registered)
	return nil
}

func (n *Node) refusal(body []byte) error {
	var r control.Refused
	if err := n.ctl.Decode(body, &r); err != nil {
		return err
	}
	for _, c := range refusals {
		if c.code == r.Code {
			return fmt.Errorf("%w: %s", c.err, r.Reason)
		}
	}
	return errors.New(r.Reason)
}

var refusals = []struct {
	code control.Code
	err  error
}{
	{control.CodeFull, ErrRingFull},
	{control.CodeAddrTaken, ErrAddressTaken},
	{control.CodeHost, ErrHostMismatch},
	{control.CodeUnreachable, ErrUnreachable},
	{control.CodeNotMember, ErrNotMember},
	{control.CodeNotYours, ErrNotMember},
}

// ID is the node's ID.
func (n *Node) ID() ID { return ID(n.self.ID) }

// Peer is the node as others know it.
func (n *Node) Peer() Peer { return Peer{n.ID(), n.addr} }

// Joined is how many members the ring had when this one joined, itself included.
func (n *Node) Joined() int { return n.self.Members }

// MaxPayload is the longest message of this ring, in bytes.
func (n *Node) MaxPayload() int { return n.self.MaxPayload }

// Table is the routing table in use. It is empty before the overlay is set up.
func (n *Node) Table() *Table { return n.table.Load() }

// Members are the IDs of the other members as of the latest set-up that is ready;
// in rings of more than 4,096, a random sample of so many.
func (n *Node) Members() []ID {
	m := n.manifest.Load()
	ids := make([]ID, len(m.Others))
	for i, id := range m.Others {
		ids[i] = ID(id)
	}
	return ids
}

// Counters says what the node has done since it joined.
func (n *Node) Counters() Counters { return countersOf(n.plane.Counters()) }

// Ready waits until the overlay is set up and every member's links are up.
func (n *Node) Ready(ctx context.Context) error {
	select {
	case <-n.ready:
		return nil
	case <-ctx.Done():
		err := fmt.Errorf("ringdht: node %d: %w, set it up at the registry: %w", n.ID(), ErrNotReady, context.Cause(ctx))
		if why := n.failure.Load(); why != nil && *why != nil {
			err = fmt.Errorf("%w (%w)", err, *why)
		}
		return err
	case <-n.lost:
		select {
		case <-n.ready: // it became ready, and then the registry went
			return nil
		default:
			return fmt.Errorf("ringdht: node %d: %w and cannot become so: %w: join again", n.ID(), ErrNotReady, ErrRegistryLost)
		}
	case <-n.ctx.Done():
		return n.closedError("waiting for the overlay")
	}
}

// Lost is closed when the connection to the registry has ended. The overlay goes
// on without it: messages flow, but nothing changes any more.
func (n *Node) Lost() <-chan struct{} { return n.lost }

func (n *Node) closedError(what string) error {
	return fmt.Errorf("ringdht: node %d: %s: %w", n.ID(), what, context.Cause(n.ctx))
}

// Leave ends the membership in good order: it waits until everything sent has
// been delivered, as [Node.Flush] does, deregisters, waits for the registry's
// answer, and closes the node. When ctx ends first it closes the node all the
// same. The error says what could not be done: messages of unknown outcome
// ([UndeliveredError]), a registry that is gone ([ErrRegistryLost]). A second
// call returns an error that matches [ErrNotMember].
func (n *Node) Leave(ctx context.Context) error {
	n.mu.Lock()
	if n.leaving || n.closed {
		n.mu.Unlock()
		return fmt.Errorf("ringdht: node %d has left the ring already: %w", n.ID(), ErrNotMember)
	}
	n.leaving = true
	n.mu.Unlock()

	flushErr := n.Flush(ctx)
	var err error
	select {
	case <-n.left: // an answer that nobody asked for
	default:
	}
	n.ctl.Send(control.TypeDeregister, control.Deregister{ID: n.self.ID, Addr: n.addr})
	select {
	case err = <-n.left:
	case <-n.lost:
		select {
		case err = <-n.left: // it answered, and then the connection ended
		default:
			err = fmt.Errorf("deregistering: %w", ErrRegistryLost)
		}
	case <-ctx.Done():
		err = fmt.Errorf("deregistering: %w", context.Cause(ctx))
	}
	if err != nil {
		err = fmt.Errorf("ringdht: node %d: %w", n.ID(), err)
	}
	n.Close()
	return errors.Join(flushErr, err)
}

// Close ends the node at once. What was accepted and not delivered has no known
// outcome; [Node.Leave] is the orderly way. It waits for every goroutine of the
// node, handlers included, whose context ends first. More calls do nothing.
func (n *Node) Close() error {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.stop(ErrClosed)
	if n.listener != nil {
		n.listener.Close()
	}
	if n.ctl != nil {
		n.ctl.Close()
	}
	select {
	case <-n.registered:
		n.plane.Close(ErrClosed)
	default:
	}
	n.wg.Wait()
	return nil
}

// others is the manifest's list, less those that take no part in traffic.
func others(m *control.Manifest) []uint64 {
	sinks := slices.Clone(m.Others)
	return slices.DeleteFunc(sinks, func(id uint64) bool { return slices.Contains(m.Idle, id) })
}
