package registry

import (
	"cmp"
	"context"
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
)

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
