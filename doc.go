// Package ringdht sends messages between processes over a structured ring, a Chord-like distributed
// hash table: each node links to a few others, and nodes relay messages for each other.
//
// # The course
//
// Eight steps teach the library. Each is an example on its page, a whole program to copy and run:
//
//  1. Two nodes, and a message between them: the example at the end of this text.
//  2. Requests, with answers and errors: package [github.com/x/ringdht/rpc].
//  3. Names, tags, and members that come and go: [WithName].
//  4. Topics, from one node to many: package [github.com/x/ringdht/topic].
//  5. Keys with states, each at one node: package [github.com/x/ringdht/keys].
//  6. Faults, and tests in virtual time: package [github.com/x/ringdht/memnet].
//  7. A ring across machines: [Node.Serve].
//  8. A secure ring: [WithSecurity].
//
// Only "go doc -http" shows examples. Package [status] has what nodes and registries show.
//
// # The model
//
// IDs are points on a ring of 2^bits, and distance is clockwise. A [Registry] admits nodes, draws
// their IDs, computes their routing tables and hands them out. It carries no messages. A [Node]
// holds a TCP link to each entry of its table; two nodes that are entries of each other share a
// connection. Entry i is the node 2^i positions clockwise, so with ceil(log2 N) entries no route
// among N nodes has more hops than that. The plan [FewestHops] uses other offsets, for which the
// mean route is shorter.
//
//	         10
//	   103        21          node 10 has the entries 21, 32 and 54
//	101              32       (1, 2 and 4 positions clockwise)
//	99               43
//	   87          54         10 to 99:  10 ─▶ 54 ─▶ 99
//	      77    61            54 is the entry closest to 99 that does not
//	                          pass it; it has 99 as its own entry
//
// A node sends a message to the entry that is closest to the sink without passing it
// ([ClosestPreceding]), and each relay does the same. The distance left shrinks at each hop, so
// there are no loops. A message reaches the node it names and no other: if no node has that ID, the
// source gets [ErrNoSuchNode].
//
// # The life of a ring
//
//	r, err := ringdht.NewRegistry()
//	addr, err := r.Listen(ctx, ":12345")
//
//	n := ringdht.NewNode()                  // each node
//	jobs := n.Service("jobs")               // before Join: no message comes too early
//	jobs.Handle(handler)
//	err = n.Join(ctx, "localhost:12345")
//
//	audit, err := r.Setup(ctx, 0)           // when the first nodes have joined
//
//	err = jobs.Send(ctx, id, body)          // to the service "jobs" of another node
//	err = n.Flush(ctx)                      // all of it was handled
//	err = n.Leave(ctx)                      // Serve joins, waits and leaves
//
// Before the first [Registry.Setup] nodes come and go, and no node can send. From then on the ring
// is live. A node that joins is part of it within moments ([Node.Ready]), a node that leaves hands
// over what it holds, and routes lead around a node that dies. Setup may be called at any time to
// change the tables, also while messages flow. With [WithSelfSetup] the first member makes the ring
// live; [WithState] keeps its identity. [WithRetry] lets Join wait, and [Node.Watch] lists members.
//
// # The promise
//
// The sink's handler gets each message that [Service.Send] accepted exactly once, in the order in
// which the source's service sent them to that sink, as long as both processes live and the ring
// connects them. If the sink dies first, the source is told which messages have no known outcome. Nothing is
// dropped silently.
//
// A sink that leaves with [Node.Leave] leaves no message of unknown outcome. It handles what it has
// taken; the rest comes back to its source ([status.Undelivered], [ErrLeft]).
//
// A link loses nothing while it stands, but relays do not wait: where a queue is full or a link
// breaks, they drop frames and count them. The streams between source and sink number, acknowledge
// and repeat messages. All memory is bounded ([status.Limits]), so a slow sink makes its own sources wait
// in [Service.Send], and no other node. [Node.Flush] returns when all accepted messages have been
// handled, so no program needs to sleep. [Service.Cast] trades reliability for cost.
//
// # When things break
//
// A node is a member as long as it is connected to the registry. The end of a process is detected
// at once; a hang or a cut within one lease, or several in large rings ([WithLease]). A node is not
// declared dead because a peer cannot reach it: messages between such a pair take a detour
// ([Registry.Degraded]). Messages on their way through a dead node are sent again on another route.
// Messages to a dead node end in a [status.UndeliveredError], and go to the callback of
// [Service.OnUndelivered] if there is one. Both list exactly the messages whose outcome is unknown and those that were
// certainly not handled. What the callback was told is not repeated, except by a Flush that was
// waiting.
//
// A process that is stopped or cut off for longer than the lease may be declared dead while it
// lives. It then handles and sends nothing under its old incarnation, and joins again as a new one.
//
// The registry is soft state. While it is away messages flow, and routes lead around dead nodes.
// Only a join waits for it, and a call that would return [ErrNoSuchNode]. The nodes reconnect by
// themselves. A registry started in its place has the same members within half a lease. A node
// whose address changes reconnects from its new address and keeps its incarnation.
//
// # Contexts and goroutines
//
// A call that only waits ([Node.Ready], [Node.WaitConnected], [Node.Flush], [Registry.WaitMembers],
// [Registry.WaitSettled]) returns nil if its condition holds, also with a context that has ended. A
// call that changes something or sends a message does nothing if its context has ended before the
// call, and its error matches the cause: a loop that sends until its context ends must end even if
// there is always room. [Node.Leave] closes the node in any case.
//
// All methods are safe for concurrent use. Each [Handler] runs on goroutines of the node: see there
// what it may call, and what it holds up. Close and Leave wait for all goroutines.
//
// # Sources
//
// The routing rule is from Stoica, Morris, Karger, Kaashoek and Balakrishnan, "Chord: A Scalable
// Peer-to-peer Lookup Service for Internet Applications", SIGCOMM 2001. Tables by position instead
// of by ID, which make the hop count exact, are from Schütt, Schintke and Reinefeld, "Range queries
// on structured overlay networks" (Chord#), Computer Communications 31(2), 2008. That powers of two
// are not the best offsets is from Cordasco, Gargano, Hammar, Negro and Scarano, "F-Chord: Improved
// Uniform Routing on Chord", SIROCCO 2004.
package ringdht
