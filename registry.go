package ringdht

import (
	"context"
	"fmt"
	"iter"
	"net"

	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/status"
)

// Registry admits nodes to a ring and hands out their routing tables. It carries no
// messages. Its methods are safe for concurrent use.
//
// A registry is soft state. If it dies, messages flow on, and routes lead around dead nodes.
// A registry started in its place rebuilds the membership from the nodes, which reconnect
// by themselves (see [WithGrace]).
type Registry struct {
	r    *registry.Registry
	plan Plan // unless Setup is given another
}

// NewRegistry returns a registry that does not listen yet.
func NewRegistry(opts ...RegistryOption) (*Registry, error) {
	cfg, err := newRegistryConfig(opts)
	if err != nil {
		return nil, fmt.Errorf("ringdht: %w", err)
	}
	return &Registry{r: registry.New(&cfg.Config), plan: cfg.plan}, nil
}

// Listen listens on addr and serves in the background until the registry is closed. It
// returns the address on which it listens, for an addr with port 0.
func (r *Registry) Listen(ctx context.Context, addr string) (net.Addr, error) {
	return r.r.Listen(ctx, addr)
}

// Serve serves nodes on a listener until the registry is closed. It then closes the
// listener, and returns an error that matches [ErrClosed].
func (r *Registry) Serve(l net.Listener) error { return r.r.Serve(l) }

// Setup makes the ring live: it gives each member a routing table with k entries by
// position, waits until all members use them, and returns the audit of the tables. k is cut
// to what the ring has use for, ceil(log2 of the members); 0 means that number, with which
// no route has more hops than it. With [FewestHops] (see [WithPlan]) k is cut to one less
// than the members, and to 1,024; 0 means ceil(log2 of the members) as well.
//
// From then on nodes that join take part at once, nodes that leave are taken out of all
// tables, and routes lead around nodes that die. Setup may be called again at any time,
// also while messages flow, to change k or the plan: no message is lost.
//
// A registry that takes another's place needs no Setup: the ring is live as soon as one of
// its nodes has come back. Setup before that makes a ring of the members present, which
// the others join as new nodes.
//
// Messages between two nodes that cannot reach each other take a detour (see
// [Registry.Degraded]). The error matches [ErrNotReady] and says what is missing if ctx
// ends first or there is no detour. If ctx has ended before the call nothing changes.
func (r *Registry) Setup(ctx context.Context, k int, opts ...SetupOption) (status.Audit, error) {
	plan := r.plan
	for _, o := range opts {
		o.applySetup(&plan)
	}
	if err := plan.validate(); err != nil {
		return status.Audit{}, fmt.Errorf("ringdht: registry: %w", err)
	}
	return r.r.Setup(ctx, k, plan == FewestHops)
}

// Audit walks the routes through the tables as they were handed out, as [Registry.Setup]
// does at its end. It takes about 50 ms of CPU time at 1,000 nodes.
func (r *Registry) Audit() status.Audit { return r.r.Audit() }

// Members lists the registered nodes by ascending ID.
func (r *Registry) Members() []Peer { return r.r.Members() }

// Epoch is the version of the membership and the tables. It only grows, also when another
// registry takes this one's place.
func (r *Registry) Epoch() uint64 { return r.r.Epoch() }

// Tables yields the routing tables as they were handed out, by ascending ID; none before
// the first set-up.
func (r *Registry) Tables() iter.Seq2[Peer, *Table] {
	tables := r.r.Tables()
	return func(yield func(Peer, *Table) bool) {
		for _, t := range tables {
			if !yield(t.Self, mustTable(Space(t.Bits), t.Self.ID, t.Epoch, t.Peers)) {
				return
			}
		}
	}
}

// Degraded lists the pairs of members of which the first cannot reach the second, by the
// first one's ID.
func (r *Registry) Degraded() []status.Degraded { return r.r.Degraded() }

// Snapshot returns the ring as the registry knows it, all of it read at one moment. It costs
// some microseconds and about a kilobyte for each member, most of which snapshots share.
func (r *Registry) Snapshot() *status.Snapshot { return r.r.Snapshot() }

// Trace has one node trace the route to another, see [Node.Trace].
func (r *Registry) Trace(ctx context.Context, from, to ID) ([]status.Hop, error) {
	return r.r.Trace(ctx, from, to)
}

// WaitMembers waits until at least n nodes are registered. If they are it returns nil at
// once, also if ctx has ended.
func (r *Registry) WaitMembers(ctx context.Context, n int) error { return r.r.WaitMembers(ctx, n) }

// WaitSettled waits until all nodes that have joined are part of the ring, none is suspect,
// and all members use the tables of the present membership. If that holds it returns nil
// at once, also if ctx has ended. The error matches [ErrNotReady] and says what is missing.
func (r *Registry) WaitSettled(ctx context.Context) error { return r.r.WaitSettled(ctx) }

// Traffic describes a traffic run.
type Traffic struct {
	// Messages is the number of messages that each node sends, from 1 to 2^40, each to a
	// member drawn uniformly from all others that take part.
	Messages int
	// Payload is the length of a message in bytes, of which the first four are a random
	// int32. It is at least 4; 0 means 4.
	Payload int
	// Progress, if not nil, is called about once a second during the run, on the goroutine
	// that called RunTraffic, with the messages sent so far and in all.
	Progress func(sent, total int64)
}

// RunTraffic makes each node that takes part ([WithTraffic]) send messages to the others,
// waits until all messages are delivered, and returns the account. Afterwards the nodes'
// counters for runs start from zero again.
//
// If a member dies or leaves during the run, the others go on. The account names it, and
// says how many messages have no known outcome: see status.Summary.Verdict.
//
// If ctx has ended before the call nothing is started. If ctx ends first, the run goes on
// without an account, and another can start when it is over; until then the error
// matches [ErrBusy]. It matches [ErrNotReady] if the overlay is not ready, and says what is
// missing.
func (r *Registry) RunTraffic(ctx context.Context, t Traffic) (*status.Summary, error) {
	return r.r.RunTraffic(ctx, registry.Traffic(t))
}

// Close ends the registry. It tells the nodes, whose messages flow on, and waits for all
// its goroutines; for the log see [WithLogger]. Further calls do nothing.
func (r *Registry) Close() error { return r.r.Close() }
