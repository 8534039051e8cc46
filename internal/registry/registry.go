// Package registry is what the root package's Registry wraps: it admits nodes, has the membership
// plan their routing tables, and conducts traffic runs. The rules of membership, tables and deaths
// are in internal/membership, which is pure. This package gives it a clock, connections and a lock.
//
// The files, from a node's connection to what users read:
//
//   - config.go, registry.go: the configuration, the state, New and Close.
//   - listen.go: listeners, and the goroutine of each connection up to its session.
//   - session.go, admit.go: one node's connection, its registration and its end.
//   - probe.go: dials to nodes, for newcomers and for suspects.
//   - reconcile.go: the loop that plans, and applies what the membership asks for.
//   - stalls.go: how late this process runs, so that members do not pay for it.
//   - held.go, hosts.go: bounds of what has not registered, and of the members of one host.
//   - loopback.go: members whose address leads each machine to itself.
//   - security.go: a secure ring's key, clock and trust, as a handshake.Security; security_state.go,
//     tokens.go, clock.go: what it keeps; credentials.go: which registrations it accepts;
//     admissions.go: what members get, and its renewal; expel.go, rotate.go, security_api.go: what
//     operators do; strangers.go: what has been refused.
//   - state.go: what is kept on disk; otherrings.go: members of other rings that come by.
//   - setup.go, wait.go, tables.go: Setup, Audit, the waits, Members and Tables.
//   - traffic.go, stop.go, run.go, run_members.go, account.go, runs.go: the API and the phases of a
//     run, its early end, its state, members that come and go, its account, and the results of
//     earlier runs.
//   - trace.go: traces, and the nodes' answers.
//   - keys.go: the authorities of services with keys; keystatus.go: what they show.
//   - events.go, eventlog.go, reports.go, gone.go, history.go, snapshot.go: what a Snapshot is made of.
//
// keys.mu comes before Registry.mu, see keys. Registry.mu guards the state of the registry: the membership, the current run, the fields of
// sessions and the rest that is listed below it. Under mu messages are encoded and queued, and at
// the end listeners and connections are closed. Dials, look-ups of names, reads and writes happen
// without it. With mu held only leaf locks are taken: those of a connection's queue, of the log and
// of its rate limit. The locks of traces and of the dial limiters are leaves as well, and are
// taken without mu.
//
// Close ends all goroutines and waits for them:
//
//   - reconcileLoop, stallLoop, saveLoop and securityLoop, from the first listener on; they end with
//     Registry.ctx.
//   - one for each listener, which accepts; it ends when its listener is closed.
//   - one for each connection, which shakes hands and becomes its session; it ends when the
//     connection ends.
//   - one for each run, which ends with the run or with Registry.ctx.
//   - one for each dial to a suspect, bounded by the handshake timeout and Registry.ctx.
//   - short ones that close a connection, after a second at most.
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

// Registry is the state of a registry: see the root package's Registry for its promises.
type Registry struct {
	// static after construction
	cfg   *Config
	state *keptState // nil if nothing is kept
	sec   *security  // nil in an open ring
	start time.Time  // when the first listener opened
	ctx   context.Context
	stop  context.CancelCauseFunc
	wg    sync.WaitGroup

	setup   chan struct{} // of one slot, held during a set-up: there is one at a time
	wakeups chan struct{} // of one slot: the reconcile loop has work
	saves   chan struct{} // of one slot: the save loop has work
	// Dials to newcomers and to suspects are limited apart, so that neither holds up the other.
	newcomers, suspects *dial.Limiter
	traces              traces
	keys                keys // has a lock of its own

	mu        sync.Mutex // guards what follows
	members   *membership.Authority
	sessions  map[ring.Ref]*session
	listeners map[*net.Listener]struct{} // by pointer: a program's own types need not be comparable
	conns     map[*net.Conn]struct{}
	stalls    stalls    // how late this process runs
	loopbacks loopbacks // members that other machines cannot dial
	hosts     hosts     // where members come from
	held      int       // nodes that wait for their answer, see session.hold
	events    eventLog
	runs      runs
	reports   reports
	others    otherRings
	holders   holders // of admissions
	history   history
	changed   notify.Change // broadcast when the fields above have changed
	opened    bool          // a listener was opened
	closed    bool
}

// New returns a registry that does not listen yet. It fails if what the registry keeps on disk
// cannot be used. [Registry.Close] lets it go.
func New(cfg *Config) (*Registry, error) {
	state, err := cfg.openState()
	if err != nil {
		return nil, err
	}
	sec, err := newSecurity(cfg, state)
	if err != nil {
		if state != nil {
			state.dir.Close()
		}
		return nil, err
	}
	r := &Registry{
		cfg:       cfg,
		state:     state,
		sec:       sec,
		start:     time.Now(),
		setup:     make(chan struct{}, 1),
		wakeups:   make(chan struct{}, 1),
		saves:     make(chan struct{}, 1),
		newcomers: dial.NewFairLimiter(registryDials, registrySlow),
		suspects:  dial.NewLimiter(registryDials, registrySlow),
		sessions:  make(map[ring.Ref]*session),
		listeners: make(map[*net.Listener]struct{}),
		conns:     make(map[*net.Conn]struct{}),
	}
	c := membership.Config{Bits: cfg.Bits, Lease: cfg.Lease, Grace: cmp.Or(cfg.Grace, 2*cfg.Lease), GraceFirst: cfg.Grace > 0, Draw: handshake.DrawID, Beats: cfg.Beats}
	if s := cfg.SelfSetup; s != nil {
		c.SelfSetup = &ring.Layout{K: s.K, Fewest: s.Fewest}
	}
	if state != nil {
		c.Kept = &state.record
	}
	if sec != nil {
		c.SignGone = sec.signGone
		if state != nil {
			state.record.Incarnation = max(state.record.Incarnation, sec.latestInc)
		}
	}
	c.Wall = r.wallNanos
	r.members = membership.New(c)
	r.keys = keys{r: r, mostParts: maxNoteParts, mostAll: maxAllNoteParts, services: make(map[string]*keyService)}
	r.newcomers.GivenUp = func() {
		cfg.WarnOften("", "too many joining nodes do not answer the registry's dials: the oldest dial is given up", "most", registrySlow)
	}
	r.suspects.GivenUp = func() {
		cfg.WarnOften("", "too many suspects do not answer the registry's dials: the oldest dial is given up", "most", registrySlow)
	}
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	return r, nil
}

// Close stops the run under way, which gets no account. It says goodbye to the nodes, each of which
// has a second to take it, and ends all goroutines before it returns.
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
		stop := r.stopTasks()
		r.mu.Unlock()
		var wg sync.WaitGroup
		for _, s := range sessions {
			wg.Go(func() {
				if task, sends := stop[s]; sends {
					s.conn.Send(control.TypeTask, task)
				}
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
	if r.sec != nil {
		r.sec.closeOnce.Do(r.sec.close)
	}
	if r.state != nil {
		r.state.dir.Close()
	}
	r.cfg.Records.Close()
	return nil
}

// closedError is the error of a call after Close. what names the call.
func (r *Registry) closedError(what string) error {
	return fmt.Errorf("ringdht: registry: %s: %w", what, errs.ErrClosed)
}
