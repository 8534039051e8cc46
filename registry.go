package ringdht

import (
	"context"
	"fmt"
	"iter"
	"net"

	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/status"
)

// Registry admits nodes to a ring and hands out their routing tables. It carries no messages. Its
// methods are safe for concurrent use.
//
// A registry is soft state. If it dies, messages flow on, and routes lead around dead nodes. A
// registry started in its place rebuilds the membership from the nodes, which reconnect by
// themselves (see [WithGrace]). With [WithState] it also knows which ring that was.
type Registry struct{ r *registry.Registry }

// NewRegistry returns a registry that does not listen yet. The error names an invalid option.
func NewRegistry(opts ...RegistryOption) (*Registry, error) {
	cfg, err := newRegistryConfig(opts)
	var r *registry.Registry
	if err == nil {
		r, err = registry.New(cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("ringdht: %w", err)
	}
	return &Registry{r}, nil
}

// Listen listens on addr, "host:port", and serves in the background until the registry is closed.
// It returns the address on which it listens, for an addr with port 0. It may be called more than
// once, for other addresses. ctx bounds the call, not the life of the listener.
func (r *Registry) Listen(ctx context.Context, addr string) (net.Addr, error) {
	return r.r.Listen(ctx, addr)
}

// Serve serves nodes on a listener of the program until the registry is closed. It then closes the
// listener, and returns an error that matches [ErrClosed]. If the program closes the listener
// first, the error matches net.ErrClosed only. Other failures to accept are retried.
func (r *Registry) Serve(l net.Listener) error { return r.r.Serve(l) }

// Setup makes the ring live: it gives each member a routing table with k entries by position, waits
// until all members use them (but see [status.Audit].LeftOut), and returns the audit. k is cut to what
// the ring has use for, ceil(log2 of the members); 0 means that number, with which no route has more
// hops. The plan is [Classic] by default; the last one counts. With [FewestHops] k is cut to one less
// than the members, and to 1,024; 0 means ceil(log2 of the members) as well.
//
// From then on nodes that join take part at once, nodes that leave are taken out of all tables, and
// routes lead around nodes that die. Setup may be called again at any time, also while messages
// flow, to change k or the plan: no message is lost.
//
// A registry that takes another's place needs no Setup: the ring is live as soon as one of its
// nodes is back. Without [WithState], Setup before that makes another ring, see [ErrOtherRing].
//
// Messages between two nodes that cannot reach each other take a detour (see [Registry.Degraded]).
// The error matches [ErrNotReady] and says what is missing if ctx ends first, if there is no
// detour, or if no node is registered. If ctx ends first, or there is no detour, the tables so far
// are in use and come with their audit. If ctx has ended before the call nothing changes. Calls at
// the same time run one after the other.
func (r *Registry) Setup(ctx context.Context, k int, plan ...Plan) (status.Audit, error) {
	p, err := lastPlan(plan)
	if err != nil {
		return status.Audit{}, fmt.Errorf("ringdht: registry: setting up: %w", err)
	}
	return r.r.Setup(ctx, k, p == FewestHops)
}

// Audit walks the routes through the tables as they were handed out, as [Registry.Setup] does, in
// about 50 ms of CPU time at 1,000 nodes. Before the first set-up it is empty.
func (r *Registry) Audit() status.Audit { return r.r.Audit() }

// Members lists the registered nodes by ascending ID, those included that are suspect or about to
// leave. [Registry.Snapshot] has the state of each.
func (r *Registry) Members() []Peer { return r.r.Members() }

// Epoch is the version of the membership and the tables. It only grows, also when another registry
// takes this one's place.
func (r *Registry) Epoch() uint64 { return r.r.Epoch() }

// Tables yields the routing tables as they were handed out, by ascending ID; none before the first
// set-up. All of them are of the moment of the call.
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

// Degraded lists the pairs of members of which the first cannot reach the second, by the first
// one's ID. It is empty if the network is sound.
func (r *Registry) Degraded() []status.Degraded { return r.r.Degraded() }

// Snapshot returns the ring as the registry knows it at one moment, for some microseconds and about
// a kilobyte a member. Snapshots share most of that: do not change it. A closed registry has one.
func (r *Registry) Snapshot() *status.Snapshot { return r.r.Snapshot() }

// Lookup finds the member that has a name, see [WithName], once it is ready. The error matches
// [ErrNoSuchNode] if no member has it now.
func (r *Registry) Lookup(name string) (status.MemberInfo, error) { return r.r.Lookup(name) }

// Trace has one node trace the route to another, see [Node.Trace]. The error matches
// [ErrNoSuchNode] if from or to is no member, and [ErrNotMember] if the connection to from ends
// before the answer. A node traces 16 routes at a time and refuses more.
func (r *Registry) Trace(ctx context.Context, from, to ID) ([]status.Hop, error) {
	return r.r.Trace(ctx, from, to)
}

// ReadyNow returns nil if nodes can join; it never waits. The error matches [ErrRebuilding] while
// members of an earlier ring have time to come back (see [WithGrace]), or while an empty ring cannot
// be written to the directory of [WithState]; [ErrNotReady] before the registry listens; [ErrClosed].
func (r *Registry) ReadyNow() error { return r.r.ReadyNow() }

// WaitMembers waits until at least n nodes are registered. If they are it returns nil at once, also
// if ctx has ended. The error says how many there are. It matches the cause of ctx, or [ErrClosed].
func (r *Registry) WaitMembers(ctx context.Context, n int) error { return r.r.WaitMembers(ctx, n) }

// WaitSettled waits until all nodes that have joined are part of the ring, none is suspect, and all
// use the tables of the present membership. If so it returns nil at once, also if ctx has ended. If it
// holds but for members that make no progress, its error is a [*status.LeftOutError]. Other errors say
// what is missing, and match [ErrNotReady], and the cause of ctx or [ErrClosed].
func (r *Registry) WaitSettled(ctx context.Context) error { return r.r.WaitSettled(ctx) }

// RunTraffic makes each node that takes part ([WithTraffic]) send messages to the others, waits
// until all messages are delivered, and returns the account. Afterwards the nodes' counters for
// runs start from zero again. One run is under way at a time, and at least two nodes must take
// part. If the ring is live but not settled, RunTraffic waits for that, for one lease at most.
//
// If a member dies, leaves or makes no progress ([status.StuckLeases]), the others go on. The account
// names it, and says how many messages have no known outcome: see [status.Summary.Verdict].
//
// If ctx ends, RunTraffic returns at once, and a run that has begun is stopped as by StopTraffic.
// When that run is over, [Registry.Snapshot] has its account; until then the next RunTraffic waits.
// While a run is under way that was not stopped, the error matches [ErrBusy]. If the overlay is not
// ready, it matches [ErrNotReady] and says why.
func (r *Registry) RunTraffic(ctx context.Context, t status.Traffic) (*status.Summary, error) {
	return r.r.RunTraffic(ctx, t)
}

// JoinLine returns all that a node needs to join a secure ring (see [WithSecurity]), for [Node.Join]:
// where nodes dial the registry, "host:port", which key it must prove, and the secret of a token,
// by default that of the latest for any number of nodes without an end. Keep the line secret.
func (r *Registry) JoinLine(addr string, token ...uint32) (string, error) {
	return r.r.JoinLine(addr, token...)
}

// NewToken makes a token. At most 64 are valid at a time. Like the other changes of a secure ring,
// it is on disk before the call returns, if the registry has [WithState], and was not made if the
// error says that it cannot be written.
func (r *Registry) NewToken(ctx context.Context, t status.TokenTerms) (status.Token, error) {
	return r.r.NewToken(ctx, t)
}

// Tokens lists the tokens by number, those included that have ended of late.
func (r *Registry) Tokens() []status.Token { return r.r.Tokens() }

// RotateTokens ends all tokens, and makes a new one. Members stay.
func (r *Registry) RotateTokens(ctx context.Context) error { return r.r.RotateTokens(ctx) }

// Expel ends a node for good, also one that is away: members drop it, and take no link from it. The
// token by which it joined ends, if others may join by it, since the node knows its secret. A new
// one takes its place, and members stay. The error matches [ErrNotMember] for an unknown ID.
func (r *Registry) Expel(ctx context.Context, id ID) error { return r.r.Expel(ctx, id) }

// RotateKey gives the ring a new key, which the old one signs. Members trust both until the
// admissions that the old one has signed are over. Until then the error of another call matches
// [ErrBusy]. Join lines from before serve as long as their tokens.
func (r *Registry) RotateKey(ctx context.Context) error { return r.r.RotateKey(ctx) }

// StopTraffic stops the run under way, if there is one, and waits for its end: nodes send no more,
// and what they have sent is delivered and counted. The RunTraffic that started the run returns the
// account, see [status.Summary.Stopped]. If ctx ends during the wait the run stops all the same.
func (r *Registry) StopTraffic(ctx context.Context) error { return r.r.StopTraffic(ctx) }

// Close ends the registry and returns nil. It tells the nodes, whose messages flow on, and stops a
// traffic run, which gets no account. It waits for all its goroutines; a node that does not read
// holds it up for one second. For the log see [WithLogger]. A further call only waits like the first.
func (r *Registry) Close() error { return r.r.Close() }
