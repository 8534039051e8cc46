// Package memnet is a network in memory, with faults.
//
// It stands where TCP stands: a [Host] listens and dials through the same two calls, and what they return are byte
// streams with TCP's manners: bounded buffers that push back on the writer, deadlines, half close, and the errors of
// package net (*[net.OpError] around [syscall.ECONNREFUSED], [syscall.ECONNRESET], [syscall.EPIPE], [net.ErrClosed],
// [os.ErrDeadlineExceeded]). A program that is tested over it runs the code that it runs over TCP.
//
//	n := memnet.New(seed)
//	l, err := n.Host("b").Listen(ctx, ":80")
//	c, err := n.Host("a").Dial(ctx, "b:80")
//	n.Delay("a", "b", 30*time.Millisecond, 10*time.Millisecond)
//
// # Costs
//
// A connection without faults has no goroutine and no timer, one mutex for each direction, and allocates nothing per
// Read or Write. It holds memory only for bytes that are on their way: a drained one holds no buffer.
//
// Nothing here blocks other than on a [sync.Cond] or on a channel made by the call that waits, so goroutines that wait on a
// network made inside a [testing/synctest] bubble are durably blocked, and every delay takes exact, virtual time.
//
// # Faults
//
// A fault is a rule about one direction, from one host to another; the name "" stands for any host. Rules act on the
// connections that stand as well as on future ones. A connection from a host to itself obeys rules too.
//
// There are four kinds, and one kind never changes another: Delay, Drop, Cut (undone by Mend) and Hold (set by Partition
// also, undone by Release). Within a kind the rule that was set last wins, of those that match: after Hold("", "b") a
// Release("a", "b") lets a, and only a, through to b; a later Hold("", "b") closes it again. That the most specific rule
// should win was rejected: then Release("", "") would not release everything, and what a call does would depend on calls
// long before it.
//
// Where kinds meet on one connection, they apply in this order:
//
//  1. Cut ends the connection at once at both ends, whatever is delayed or held, and refuses dials that would hang.
//  2. Drop is decided as Write begins. A lost Write succeeds at once: it takes no room in the buffer, so it never blocks.
//  3. Delay fixes when the bytes of a Write will arrive. Changing it later leaves the bytes that are under way alone,
//     and so does Heal; bytes written after them stay behind them.
//  4. Hold is a gate in front of the reader: nothing passes while it is shut, including bytes that were under way
//     before, and when it opens, everything arrives whose own time has come. What had arrived before stays readable.
//
// What Drop and jitter do to a Write is decided by the seed and by which Write it is, see [New] and luck.go: it repeats
// where a program makes the same Writes.
//
// The end of a stream travels as its bytes do, except that it is never dropped: under Hold the peer of a connection that
// was closed sees neither the EOF nor an error on its writes. To make a host die without a word, Hold everything from it, then
// close it. Delay does not slow dials down; Hold in either direction makes them hang, as they need an answer.
package memnet
