// Package memnet is a network in memory, with faults on request, for tests. It needs no ports,
// is fast, and works under [testing/synctest]: there, delays take exact, virtual time.
//
// It stands in for TCP. A [Host] listens and dials, and connections behave like those of TCP:
// they are byte streams with bounded buffers that block the writer, deadlines, half close, and
// the errors of package net. So a program runs the same code in a test as over TCP. A Host has
// the two methods of a ringdht Transport; give each node and the registry one of its own:
//
//	network := memnet.New(1)
//	n := ringdht.NewNode(ringdht.WithTransport(network.Host("a")))
//
// The example is step 6 of the course of package [github.com/x/ringdht]. Programs that use package
// net by itself can use the network as well:
//
//	l, err := network.Host("b").Listen(ctx, ":80")
//	c, err := network.Host("a").Dial(ctx, "b:80")
//	network.Delay("a", "b", 30*time.Millisecond, 10*time.Millisecond)
//
// All methods may be called concurrently.
//
// # In a test
//
// Within a bubble of [testing/synctest] time stands still while any goroutine runs, and jumps when
// all wait. So this test of a node that is cut off takes milliseconds, though the ring waits for
// seconds before it declares the node dead:
//
//	package letters
//
//	import (
//		"context"
//		"errors"
//		"testing"
//		"testing/synctest"
//		"time"
//
//		"github.com/x/ringdht"
//		"github.com/x/ringdht/memnet"
//		"github.com/x/ringdht/status"
//	)
//
//	func TestLetterToANodeThatIsCutOff(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			network := memnet.New(1)
//			registry, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
//			check(t, err)
//			defer registry.Close()
//			_, err = registry.Listen(t.Context(), "registry:1")
//			check(t, err)
//			ann := ringdht.NewNode(ringdht.WithTransport(network.Host("ann")))
//			defer ann.Close()
//			letters := ann.Service("letters")
//			check(t, ann.Join(t.Context(), "registry:1"))
//			bob := ringdht.NewNode(ringdht.WithTransport(network.Host("bob")))
//			defer bob.Close()
//			bob.Service("letters").Handle(func(context.Context, ringdht.Message) {})
//			check(t, bob.Join(t.Context(), "registry:1"))
//			_, err = registry.Setup(t.Context(), 0)
//			check(t, err)
//
//			check(t, letters.Send(t.Context(), bob.ID(), []byte("dear bob")))
//			check(t, ann.Flush(t.Context()))
//			network.Hold("bob", "") // nothing that bob says arrives anywhere
//			start := time.Now()
//			check(t, letters.Send(t.Context(), bob.ID(), []byte("are you there?")))
//			err = ann.Flush(t.Context())
//			lost, ok := errors.AsType[*status.UndeliveredError](err)
//			if !ok || string(lost.Streams[0].Bodies[0]) != "are you there?" {
//				t.Fatalf("ann was told: %v", err)
//			}
//			t.Logf("told after %v of virtual time: %v", time.Since(start), err)
//		})
//	}
//
//	func check(t *testing.T, err error) {
//		t.Helper()
//		if err != nil {
//			t.Fatal(err)
//		}
//	}
//
// A network that is made inside a bubble must be used inside it only. Goroutines that wait on it are
// durably blocked: they wait on a [sync.Cond], or on a channel that the waiting call made.
// examples/inmemory has the tests of a program.
//
// # Names
//
// A host is known by its name, in addresses ("name:port") and in faults. Case makes no
// difference. In faults the name "" stands for any host.
//
// # Connections
//
// Each direction of a connection holds at most 64 KiB that were written and not read, whether
// they have arrived, are delayed or are held. A Write without room waits. A listener holds
// at most 128 connections for Accept; further dials wait.
//
// Errors are *[net.OpError] around [syscall.ECONNREFUSED], [syscall.ECONNRESET],
// [syscall.EPIPE], [syscall.EADDRINUSE], [syscall.EADDRNOTAVAIL], [net.ErrClosed] or
// [os.ErrDeadlineExceeded]. Connections have CloseWrite, like *[net.TCPConn].
//
// A connection without faults has no goroutine and no timer, one mutex for each direction, and
// allocates nothing per Read or Write. It holds memory only for bytes that were not read.
//
// # Faults
//
// A fault is a rule about one direction, from one host to another. It acts on standing and on
// future connections, also on those of a host to itself. There are four kinds, and no kind
// changes another:
//
//	Delay              undone by a Delay of 0
//	Drop               undone by a Drop with probability 0
//	Cut                undone by Mend
//	Hold, Partition    undone by Release
//
// Heal undoes all. Of the rules of one kind that match, the one set last wins. After
// Hold("", "b"), Release("a", "b") lets only a through to b; a later Hold("", "b") closes that
// again. Rejected: the most specific rule wins. Then Release("", "") would not release
// everything, and the effect of a call would depend on much earlier calls.
//
// Faults of several kinds on one connection apply in this order:
//
//  1. Cut ends the connection at both ends at once, whatever is delayed or held. Dials that
//     would hang are refused.
//  2. Drop is decided when Write begins. A lost Write succeeds at once: it takes no room in the
//     buffer, so it never blocks.
//  3. Delay fixes the time of arrival when Write begins. A later change, or Heal, does not move
//     bytes under way; bytes written after them stay behind them.
//  4. Hold stops all bytes in front of the reader, also those under way. Bytes that arrived
//     before stay readable. On Release everything arrives whose delay is over.
//
// The end of a stream travels like its bytes, but is never dropped. Under Hold, the peer of a
// closed connection sees neither io.EOF nor an error on its writes. So a host that is to die
// silently is first held, with Hold(name, ""), and then closed.
//
// Dials are not delayed. A Hold in either direction makes them hang, since they need an answer.
//
// # The seed
//
// The seed of [New] decides for each Write whether [Network.Drop] loses it and how much of the
// jitter of [Network.Delay] it takes. The result depends on the seed, the names of the two
// hosts, and three numbers: which of the connections that one host has dialled to the other it
// is, the direction, and which Write in that direction. So the nth Write of the kth connection
// from a to b has the same fate in every network with the same seed and the same faults,
// whatever other connections do and whichever faults were set before.
//
// A run of a whole ring does not repeat, not even in virtual time. The scheduler decides how
// nodes batch messages into Writes, and which of two goroutines dials first. IDs that are not
// chosen, tokens and pauses are drawn without the seed. So the nth Write of one run may hold
// something else in the next, or be missing.
package memnet
