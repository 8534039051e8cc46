// Package ringdht sends messages between processes over a structured ring, a
// Chord-like distributed hash table: every node links to a few others only, and
// nodes pass messages on for each other.
//
// # The model
//
// IDs are points on a ring of 2^bits, and distance is clockwise. A [Registry]
// admits nodes, draws their IDs, computes their routing tables and hands them
// out; it carries no messages. A [Node] holds a TCP link to each entry of its
// table; two that are entries of each other share a connection. Entry i is the node 2^i positions clockwise, so that with ceil(log2 N)
// entries no route among N nodes is longer than that; or, with the plan
// [FewestHops], at offsets for which the mean route is shorter.
//
//	         10
//	   103        21          node 10 has the entries 21, 32 and 54
//	101              32       (1, 2 and 4 positions clockwise)
//	99               43
//	   87          54         10 to 99:  10 ─▶ 54 ─▶ 99
//	      77    61            54 is the entry closest to 99 that does not
//	                          pass it; it has 99 as its own entry
//
// To send, a node picks the entry that is closest to the sink without passing it
// ([ClosestPreceding]), and so does every relay. The distance left shrinks at each
// hop, so there are no loops. A message goes to exactly the node it names, and
// never to whoever is nearest: if nobody has that ID, the source is told
// [ErrNoSuchNode].
//
// # The life of a ring
//
//	r, err := ringdht.NewRegistry()
//	addr, err := r.Listen(ctx, ":12345")
//
//	n, err := ringdht.Join(ctx, "localhost:12345", handler)  // each node
//
//	audit, err := r.Setup(ctx, 0)                            // when all have joined
//
//	err = n.Ready(ctx)
//	err = n.Send(ctx, id, body)
//	err = n.Flush(ctx)                                       // all of it was handled
//	err = n.Leave(ctx)
//
// Before the first [Registry.Setup] nodes come and go, and nobody can send. From then
// on the ring is live: a node that joins is led to within moments ([Node.Ready]), one
// that leaves hands over what it holds, one that dies is routed around. Setup may be
// called again at any time, to change the size of the tables, also while messages
// flow.
//
// # The promise
//
// A message that Send accepted is delivered to its sink's handler exactly once, in
// the order sent by that source to that sink, as long as both processes live and
// the ring still connects them. If the sink leaves or dies first, the source is
// told which messages have no known outcome. Nothing is dropped silently.
//
// A sink that leaves by [Node.Leave] leaves none of unknown outcome: it handles what it
// has taken, and what it has not comes back to its source ([Undelivered], [ErrLeft]).
//
// Links lose nothing while they stand, but relays do not wait: where a queue is
// full or a link breaks they drop and count, and the streams between source and
// sink number, acknowledge and repeat. Memory is bounded everywhere ([Limits]), so
// a slow sink makes its own sources wait, in [Node.Send], and nobody else.
// [Node.Flush] returns when everything accepted has been handled, so no program
// needs to sleep to let it finish. [Node.Cast] is for those who want the other
// trade.
//
// A handler may wait without holding up anything else. As long as a node's handlers are
// quick, and are called some thousand times a second, small reads are handled by the
// goroutine that has made them, which saves the waking up of another; whoever waits gives
// that up.
//
// # When things break
//
// A node lives as long as its connection to the registry. A process that ends is
// found at once, one that hangs or is cut off within the lease, or some in a large
// ring ([WithLease]). Nobody is declared dead because some peer cannot reach it:
// such a pair is led around ([Registry.Degraded]). What was on its way through a
// dead node is sent again another way; what was sent to it ends up in an
// [UndeliveredError], and with [WithUndelivered]. They list exactly those messages whose
// outcome is unknown, and those that were certainly not handled. What the callback was told
// is not repeated, but by a Flush that was waiting for it.
//
// A node that was declared dead though it lives, since its process was stopped or cut
// off for longer than the lease, handles and sends nothing any more under its old
// incarnation, and joins again by itself as a new one.
//
// The registry is soft state. While it is away messages flow and the dead are routed
// around; only joining needs it, and telling that somebody does not exist. The nodes
// look for it, and one that is started in its place has the same members again within
// half a lease. A node whose address changes finds it anew when it connects again, and
// keeps its life.
//
// # Contexts
//
// Calls that only wait for something ([Node.Ready], [Node.WaitConnected], [Node.Flush],
// [Registry.WaitMembers], [Registry.WaitSettled]) return nil if it is so already, also
// with a context that has ended. Calls that change something or send a message do nothing
// with a context that has ended before the call, and return its cause: a loop that sends
// until its context ends must end, also where there is always room. [Node.Leave] closes
// the node all the same.
//
// # Goroutines
//
// All methods may be called from anywhere at any time. A [Handler] runs on
// goroutines of the node's own, see there what it may do. Close and Leave wait for
// all of them.
//
// # Testing programs
//
// [MemoryNetwork] is a [Transport] within the process, with faults on request. It
// shares framing, queues, streams and codecs with TCP, and works in bubbles of
// testing/synctest.
//
// # Sources
//
// The routing rule is from Stoica, Morris, Karger, Kaashoek and Balakrishnan,
// "Chord: A Scalable Peer-to-peer Lookup Service for Internet Applications",
// SIGCOMM 2001. Tables by position instead of by ID, which make the hop count
// exact, are from Schütt, Schintke and Reinefeld, "Range queries on structured
// overlay networks" (Chord#), Computer Communications 31(2), 2008. That powers of two
// are not the best offsets is from Cordasco, Gargano, Hammar, Negro and Scarano,
// "F-Chord: Improved Uniform Routing on Chord", SIROCCO 2004.
package ringdht
