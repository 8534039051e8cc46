package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// Config is what a registry goes by. The root package's options fill it and check it.
type Config struct {
	handshake.Config
	Bits       int
	MaxPayload int
	Lease      time.Duration
	Beats      int // see membership.Config
	Grace      time.Duration
	TimeOfDay  func() time.Time // incarnations are made from it
}

// Registry admits nodes to a ring and hands out their routing tables. It carries
// no messages. Its methods are safe for concurrent use.
//
// It is soft state: when it dies, messages flow on and nodes route around the dead.
// One that is started in its place rebuilds the membership from the nodes, which come
// back by themselves (see [WithGrace]).
type Registry struct {
	// static after construction
	cfg   *Config
	start time.Time // set when the first listener opens
	ctx   context.Context
	stop  context.CancelCauseFunc
	wg    sync.WaitGroup

	setup   chan struct{} // of one slot, taken during a set-up, so that there is one at a time
	wakeups chan struct{} // of one slot: there is something for the steward to do
	// Dials to newcomers and to members out of sight: neither can hold up the other.
	newcomers, suspects *dial.Limiter
	traces              traces

	mu        sync.Mutex // guards what follows
	members   *membership.Authority
	sessions  map[ring.Ref]*session
	listeners map[*net.Listener]struct{} // by where one is kept: programs' own types need not be comparable
	conns     map[*net.Conn]struct{}
	stalls    stalls    // how late this process runs
	loopbacks loopbacks // members that other machines cannot dial
	events    eventLog
	runs      runs
	reports   reports
	changed   notify.Change // of anything here
	opened    bool          // it has a listener, or had one
	closed    bool
}

// New returns a registry that does not listen yet.
func New(cfg *Config) *Registry {
	r := &Registry{
		cfg:       cfg,
		start:     time.Now(),
		setup:     make(chan struct{}, 1),
		wakeups:   make(chan struct{}, 1),
		newcomers: dial.NewLimiter(registryDials, registrySlow),
		suspects:  dial.NewLimiter(registryDials, registrySlow),
		sessions:  make(map[ring.Ref]*session),
		listeners: make(map[*net.Listener]struct{}),
		conns:     make(map[*net.Conn]struct{}),
	}
	r.members = membership.New(membership.Config{Bits: cfg.Bits, Lease: cfg.Lease, Grace: cmp.Or(cfg.Grace, 2*cfg.Lease), Draw: handshake.DrawID, Beats: cfg.Beats})
	r.newcomers.GivenUp = func() {
		cfg.WarnOften("", "too many nodes do not answer the registry's dials, one that wanted to join is given up", "most", registrySlow)
	}
	r.suspects.GivenUp = func() {
		cfg.WarnOften("", "too many members do not answer the registry's dials, one of the dials is given up", "most", registrySlow)
	}
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	return r
}

// Listen listens on addr and serves in the background until the registry is
// closed. It returns the address it listens on, useful when addr has port 0.
func (r *Registry) Listen(ctx context.Context, addr string) (net.Addr, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ringdht: registry: listening on %s: %w", addr, context.Cause(ctx))
	}
	l, err := r.cfg.Transport.Listen(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("ringdht: registry: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		l.Close()
		return nil, r.closedError("listening")
	}
	r.open(&l)
	r.wg.Go(func() { r.serve(&l) })
	return l.Addr(), nil
}

// Serve serves nodes on a listener until the registry is closed, and then returns
// an error that matches [ErrClosed]; it closes the listener.
func (r *Registry) Serve(l net.Listener) error {
	if handshake.Absent(l) {
		return errors.New("ringdht: registry: serving: the listener is nil")
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		l.Close()
		return r.closedError("serving")
	}
	r.open(&l)
	r.wg.Add(1)
	r.mu.Unlock()
	defer r.wg.Done()
	return r.serve(&l)
}

// open takes a listener on; it needs mu. The time of a registry begins with the first.
func (r *Registry) open(l *net.Listener) {
	r.listeners[l] = struct{}{}
	if !r.opened {
		r.opened = true
		r.start = time.Now()
		if r.cfg.Grace > 0 {
			r.members.Recover(r.now())
		}
		r.stalls = stalls{period: max(r.cfg.Lease/32, time.Millisecond), accounted: r.cfg.Now()}
		r.wg.Go(r.stallLoop)
		r.wg.Go(r.reconcileLoop)
	}
}

func (r *Registry) serve(l *net.Listener) error {
	err := r.cfg.Accept(r.ctx, *l, r.wg.Go, r.handleConn)
	(*l).Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.listeners, l)
	if r.closed {
		return r.closedError("serving")
	}
	return fmt.Errorf("ringdht: registry: %w", err) // somebody else closed the listener
}

// receive is a connection's goroutine.
func (r *Registry) handleConn(conn net.Conn, introduced func()) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		introduced()
		conn.Close()
		return
	}
	r.conns[&conn] = struct{}{}
	r.mu.Unlock()
	defer func() {
		conn.Close()
		r.mu.Lock()
		delete(r.conns, &conn)
		r.mu.Unlock()
	}()
	_, err := r.cfg.Welcome(conn, func(h wire.Hello) wire.Answer {
		if h.Role != wire.RoleMember {
			return wire.Answer{Status: wire.WrongRole, Reason: "this is a registry, not a node: it carries no messages"}
		}
		return wire.Answer{}
	})
	introduced()
	if err != nil {
		if r.ctx.Err() == nil {
			r.cfg.RefusedConn(conn, err)
		}
		return
	}
	s := &session{r: r, conn: control.NewConn(conn, r.cfg.Codec, maxReport), remote: conn.RemoteAddr()}
	s.run()
}

// Close ends the registry: it says good-bye to the nodes, whose messages go on
// flowing, and waits for all its goroutines; for its log see [WithLogger]. More calls do
// nothing.
func (r *Registry) Close() error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		for l := range r.listeners {
			(*l).Close()
		}
		sessions := make([]*session, 0, len(r.sessions))
		for _, s := range r.sessions {
			sessions = append(sessions, s)
		}
		r.mu.Unlock()
		var wg sync.WaitGroup
		for _, s := range sessions {
			wg.Go(func() {
				s.conn.Send(control.TypeBye, control.Bye{Reason: "the registry has closed"})
				s.conn.Shutdown(time.Second)
			})
		}
		wg.Wait()
		r.mu.Lock()
		r.stop(errs.ErrClosed)
		for conn := range r.conns {
			(*conn).Close()
		}
		r.change()
	}
	r.mu.Unlock()
	r.wg.Wait()
	r.cfg.Records.Close()
	return nil
}

func (r *Registry) closedError(what string) error {
	return fmt.Errorf("ringdht: registry: %s: %w", what, errs.ErrClosed)
}

// change wakes the callers of Await; it needs mu.
func (r *Registry) change() { r.changed.Broadcast() }

// Await waits until done, called with mu held at every change, returns true. What is so
// when ctx ends counts.
func (r *Registry) Await(ctx context.Context, done func() bool) error {
	closed := false
	err := r.changed.Await(ctx, context.Background(), &r.mu, func() bool {
		if done() {
			return true
		}
		closed = r.closed
		return closed
	})
	if closed {
		return errs.ErrClosed
	}
	return err
}

// Authority is the membership, guarded by the registry's lock: it may be used within
// [Registry.Await] only.
func (r *Registry) Authority() *membership.Authority { return r.members }

// Running is the number of the run under way, or 0. It may be used within [Registry.Await] only.
func (r *Registry) Running() uint64 {
	if r.runs.current == nil {
		return 0
	}
	return r.runs.current.number
}

// Members lists the registered nodes by ascending ID.
func (r *Registry) Members() []status.Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return peers(r.members.All())
}

// Epoch is the version of the membership and the tables. It only grows, also when
// another registry takes this one's place.
func (r *Registry) Epoch() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members.Epoch()
}

// Degraded lists the pairs that cannot talk directly, by the first one's ID.
func (r *Registry) Degraded() []status.Degraded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.degraded()
}

// degraded needs mu.
func (r *Registry) degraded() []status.Degraded {
	list := []status.Degraded{}
	for _, p := range r.members.Unreachable() {
		list = append(list, status.Degraded{From: peer(p.From), To: peer(p.To), Why: p.Why})
	}
	return list
}

func peer(m ring.Member) status.Peer { return status.Peer{ID: status.ID(m.ID), Addr: m.Addr} }

func peers(members []ring.Member) []status.Peer {
	list := make([]status.Peer, len(members))
	for i, m := range members {
		list[i] = peer(m)
	}
	return list
}

// WaitMembers waits until at least n nodes are registered. If they are it returns nil at
// once, also if ctx has ended.
func (r *Registry) WaitMembers(ctx context.Context, n int) error {
	have := 0
	err := r.Await(ctx, func() bool {
		have = r.members.Len()
		return have >= n
	})
	if err != nil {
		return fmt.Errorf("ringdht: registry: %d of %d nodes are registered: %w", have, n, err)
	}
	return nil
}

// Table is a member's routing table.
type Table struct {
	Bits  int
	Self  status.Peer
	Epoch uint64
	Peers []status.Peer // clockwise
}

// Tables returns the tables of the members that are in the ring.
func (r *Registry) Tables() (tables []Table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members.All() {
		view, ok := r.members.View(m.ID)
		if !ok {
			continue
		}
		t := Table{Bits: r.cfg.Bits, Self: peer(m), Epoch: r.members.Epoch(), Peers: make([]status.Peer, 0, len(view.Entries))}
		for _, e := range view.Entries {
			if p, ok := r.members.Holder(e.ID); ok { // else it died a moment ago
				t.Peers = append(t.Peers, peer(p))
			}
		}
		tables = append(tables, t)
	}
	return tables
}

// Of a registry: 500 addresses that are silent and come again and again make some 100 dials
// a second, of which each takes a slot for a tenth of a second.
const (
	registryDials = 64
	registrySlow  = 1024
)
