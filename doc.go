// Package ringdht sends messages between processes over a structured ring, a
// Chord-like distributed hash table: every node links to a few others only, and
// nodes pass messages on for each other.
//
// # The model
//
// IDs are points on a ring of 2^bits, and distance is clockwise. A [Registry]
// admits nodes, draws their IDs, computes their routing tables and hands them
// out; it carries no messages. A [Node] holds a TCP link to each entry of its
// table. Entry i is the node 2^i positions clockwise, so that with ceil(log2 N)
// entries no route among N nodes is longer than that.
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
// Before the first [Registry.Setup] nodes come and go freely. After it, joins and
// departures take effect on the tables at the next one; it may be called at any
// time, also while messages flow. When the registry is gone, messages go on
// flowing and nothing else changes.
//
// # The promise
//
// A message that Send accepted is delivered to its sink's handler exactly once, in
// the order sent by that source to that sink, as long as both processes live and
// the ring still connects them. If the sink leaves or dies first, the source is
// told which messages have no known outcome. Nothing is dropped silently.
//
// Links lose nothing while they stand, but relays do not wait: where a queue is
// full or a link breaks they drop and count, and the streams between source and
// sink number, acknowledge and repeat. Memory is bounded everywhere ([Limits]), so
// a slow sink makes its own sources wait, in [Node.Send], and nobody else.
// [Node.Flush] returns when everything accepted has been handled, so no program
// needs to sleep to let it finish. [Node.Cast] is for those who want the other
// trade.
//
// A link that breaks is opened again. A node that has gone is noticed by the
// registry within a lease ([WithLease]); those who have sent to it, or by way of
// it, wait until a set-up has taken it off the tables, and then Send and Flush say
// so. (Routing around the dead without a set-up is not part of this version.)
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
// overlay networks" (Chord#), Computer Communications 31(2), 2008.
package ringdht
