package ringdht

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/memnet"
)

// Transport is where byte streams come from. Framing, queues and codecs are the
// same over every transport. Connections must keep the order of bytes, honour
// deadlines, and fail pending calls when they are closed; addresses are
// "host:port". Nodes are dialled by names in lower case, so a transport must not tell
// host names apart by case. Connections and listeners may be of any type, also of one that
// cannot be compared. A nil one without an error, a connection that takes no deadline, and
// an address that is not "host:port" where it is needed, are errors that say so.
//
// TCP connections whose ends have the same address get a small write buffer, whatever they
// had (on Linux; see docs/performance.md), also below TLS. A type of one's own around them
// without a NetConn method keeps them from that.
type Transport interface {
	// Listen listens on addr, whose host may be empty and whose port may be 0.
	// ctx bounds the call, not the listener's life.
	Listen(ctx context.Context, addr string) (net.Listener, error)
	// Dial connects to addr. ctx bounds the call, not the connection's life.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// TCP is the default transport. Of a host name with several addresses it tries up to eight.
// The next is tried when one has failed or was silent for 250 ms, sooner if ctx ends soon,
// and the first that answers is taken.
type TCP struct{}

// Listen implements [Transport].
func (TCP) Listen(ctx context.Context, addr string) (net.Listener, error) {
	if ctx.Err() != nil { // which package net looks at only for names
		return nil, context.Cause(ctx)
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr)
}

// Dial implements [Transport].
func (TCP) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return dial.TCP(ctx, addr)
}

// MemoryNetwork is a network within the process, for tests: without ports, fast,
// fit for testing/synctest, and with faults on request. It is safe for concurrent
// use.
//
// As everywhere, case makes no difference in names.
//
// Faults act on hosts by name, on standing and future connections; "" stands for
// any host. Of two faults of the same kind that apply, the one set last counts.
//
// The seed decides the luck of each Write: whether [MemoryNetwork.Drop] loses it, and how
// much of the jitter it takes. Luck is drawn from the seed, the names of the hosts, and three
// numbers: which of the connections that one host has dialled to the other it is, the
// direction, and which Write in it. So in every network of the same seed the nth Write of the
// kth connection from a to b has the same fate under the same faults, whatever other
// connections do, and whichever faults were set before.
//
// A run of a whole ring does not repeat, not even in virtual time. How nodes gather messages
// into writes, and which of two goroutines dials first, is up to the scheduler. IDs (but for
// [WithID]), tokens and pauses are drawn without the seed. What was the nth Write in one run
// may hold something else, or be missing, in the next.
type MemoryNetwork struct{ n *memnet.Network }

// NewMemoryNetwork returns a network without hosts or faults. The seed decides
// what jitter and loss do, see [MemoryNetwork].
func NewMemoryNetwork(seed uint64) *MemoryNetwork { return &MemoryNetwork{memnet.New(seed)} }

// Host returns the transport of the host with this name, and makes the host if
// there is none. Its addresses are "name:port".
func (m *MemoryNetwork) Host(name string) Transport { return m.n.Host(strings.ToLower(name)) }

// Delay makes what from writes to to arrive d later, plus up to jitter. Order is
// kept.
func (m *MemoryNetwork) Delay(from, to string, d, jitter time.Duration) {
	m.n.Delay(strings.ToLower(from), strings.ToLower(to), d, jitter)
}

// Drop loses each write from from to to, whole, with probability p, while the
// connection stands. Nodes write whole frames, so that frames are lost and not
// their framing; connections to a registry do not recover from it.
func (m *MemoryNetwork) Drop(from, to string, p float64) {
	m.n.Drop(strings.ToLower(from), strings.ToLower(to), p)
}

// Cut resets the connections between two hosts and refuses new ones.
func (m *MemoryNetwork) Cut(a, b string) { m.n.Cut(strings.ToLower(a), strings.ToLower(b)) }

// Mend undoes Cut.
func (m *MemoryNetwork) Mend(a, b string) { m.n.Mend(strings.ToLower(a), strings.ToLower(b)) }

// Hold silences one direction: what is written is held back, dials hang.
func (m *MemoryNetwork) Hold(from, to string) { m.n.Hold(strings.ToLower(from), strings.ToLower(to)) }

// Release undoes Hold; what was held back arrives.
func (m *MemoryNetwork) Release(from, to string) {
	m.n.Release(strings.ToLower(from), strings.ToLower(to))
}

// Partition holds both directions between hosts of different groups.
func (m *MemoryNetwork) Partition(groups ...[]string) {
	lower := make([][]string, len(groups))
	for i, group := range groups {
		for _, name := range group {
			lower[i] = append(lower[i], strings.ToLower(name))
		}
	}
	m.n.Partition(lower...)
}

// Heal undoes every fault.
func (m *MemoryNetwork) Heal() { m.n.Heal() }
