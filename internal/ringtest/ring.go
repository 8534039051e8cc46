// Package ringtest starts rings for the tests of this module: a registry and its nodes, over
// TCP or in memory. It gives access to their internals. The tests of whole rings are here.
//
// A test starts a ring with [New], adds nodes with [Ring.Join] and hands out tables with
// [Ring.Setup]. Tests of time use [InBubble]. Methods of a ring fail the test if an operation
// does not succeed.
package ringtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/leaks"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Ring is a registry and its nodes.
type Ring struct {
	T        testing.TB
	Net      *memnet.Network  // nil over TCP
	Name     string           // in memory, node number i is on the host Name + i
	Shared   []ringdht.Option // of the registry and all nodes
	Registry *ringdht.Registry
	Addr     string  // of the registry
	Secure   bool    // it is a secure ring
	Nodes    []*Node // in the order in which they joined
	Liar     bool    // a member passes nothing on, so the registry may say so

	credentials string // of a secure ring: the part of a join line behind the address
}

// openRings counts the rings that tests have not closed.
var openRings atomic.Int32

// New starts a registry, over TCP if net is nil. When the test ends, New closes the ring and
// fails the test if goroutines of this module are left. The lease is 30 seconds, so that a
// loaded machine does not look like a dead node. Tests of the lease set another.
//
// The ring is a secure one if the environment says so, see [AllSecure].
func New(t testing.TB, net *memnet.Network, opts ...ringdht.RegistryOption) *Ring {
	t.Helper()
	return newRing(t, net, AllSecure, opts)
}

// NewSecure is New for a ring that is secure in any case.
func NewSecure(t testing.TB, net *memnet.Network, opts ...ringdht.RegistryOption) *Ring {
	t.Helper()
	return newRing(t, net, true, opts)
}

func newRing(t testing.TB, net *memnet.Network, secure bool, opts []ringdht.RegistryOption) *Ring {
	t.Helper()
	tr := &Ring{T: t, Net: net, Name: "n", Secure: secure}
	for _, o := range opts {
		if both, ok := o.(ringdht.Option); ok {
			tr.Shared = append(tr.Shared, both)
		}
	}
	addr := "127.0.0.1:0"
	if net != nil {
		opts = append(opts, ringdht.WithTransport(net.Host("registry")))
		addr = "registry:0"
	}
	opts = append([]ringdht.RegistryOption{ringdht.WithLease(30 * time.Second)}, opts...)
	if secure {
		opts = append([]ringdht.RegistryOption{ringdht.WithSecurity(0)}, opts...)
	}
	r, err := ringdht.NewRegistry(opts...)
	if err != nil {
		t.Fatal(err)
	}
	tr.Registry = r
	openRings.Add(1)
	t.Cleanup(func() {
		tr.checkNamed()
		tr.Close()
		if openRings.Add(-1) > 0 { // the test has others
			return
		}
		if left := leaks.Goroutines(); left != "" {
			t.Errorf("goroutines left behind:\n%s", left)
		}
	})
	a, err := r.Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	tr.Addr = a.String()
	if secure {
		tr.useToken()
	}
	return tr
}

// checkNamed fails the test if the registry has named a member that passes everything on.
func (tr *Ring) checkNamed() {
	for _, e := range tr.Registry.Snapshot().Events {
		if e.Kind == status.EventLedAround && !tr.Liar {
			tr.T.Errorf("node %d is named as a liar: %s", e.Node.ID, e.Why)
		}
	}
}

// Close closes all nodes and then the registry.
func (tr *Ring) Close() {
	var wg sync.WaitGroup
	for _, n := range tr.Nodes {
		wg.Go(func() { n.Close() })
	}
	wg.Wait()
	tr.Registry.Close()
}

// Options returns the options of the next node: those that all share, its transport, and opts.
func (tr *Ring) Options(opts []ringdht.NodeOption) []ringdht.NodeOption {
	var all []ringdht.NodeOption
	for _, o := range tr.Shared {
		all = append(all, o)
	}
	if tr.Net != nil {
		all = append(all, ringdht.WithTransport(tr.Net.Host(tr.nextHost())))
	}
	return append(all, opts...)
}

// nextHost is the host of the next node.
func (tr *Ring) nextHost() string { return fmt.Sprintf("%s%d", tr.Name, len(tr.Nodes)) }

// TryJoin adds a node, or returns the error.
func (tr *Ring) TryJoin(h ringdht.Handler, opts ...ringdht.NodeOption) (*Node, error) {
	n, err := Join(tr.Ctx(), tr.Line(), h, tr.Options(opts)...)
	if err == nil {
		tr.Nodes = append(tr.Nodes, n)
	}
	return n, err
}

// Join adds a node.
func (tr *Ring) Join(h ringdht.Handler, opts ...ringdht.NodeOption) *Node {
	tr.T.Helper()
	n, err := tr.TryJoin(h, opts...)
	if err != nil {
		tr.T.Fatal(err)
	}
	return n
}

// Ctx returns a context that ends after three minutes. Only what is broken takes longer.
func (tr *Ring) Ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	tr.T.Cleanup(cancel)
	return ctx
}

// Setup hands out tables with k entries of a plan, and waits until all nodes are ready.
func (tr *Ring) Setup(k int, plan ...ringdht.Plan) status.Audit {
	tr.T.Helper()
	a, err := tr.Registry.Setup(tr.Ctx(), k, plan...)
	if err != nil {
		tr.T.Fatal(err)
	}
	for _, n := range tr.Nodes {
		if err := n.Ready(tr.Ctx()); err != nil {
			tr.T.Fatal(err)
		}
	}
	return a
}

// Positions returns the position of each member in the ring, by ID.
func (tr *Ring) Positions() map[ringdht.ID]int {
	at := make(map[ringdht.ID]int)
	for i, p := range tr.Registry.Members() {
		at[p.ID] = i
	}
	return at
}

// Remove removes a node from tr.Nodes. It does not end it.
func (tr *Ring) Remove(n *Node) {
	tr.Nodes = slices.DeleteFunc(tr.Nodes, func(x *Node) bool { return x == n })
}

// RestartRegistry starts a registry at the address of the former one, which the test has
// closed.
func (tr *Ring) RestartRegistry(opts ...ringdht.RegistryOption) {
	tr.T.Helper()
	if tr.Net != nil {
		opts = append(opts, ringdht.WithTransport(tr.Net.Host("registry")))
	}
	r, err := ringdht.NewRegistry(tr.Heir(opts)...)
	if err != nil {
		tr.T.Fatal(err)
	}
	if _, err := r.Listen(tr.T.Context(), tr.Addr); err != nil {
		tr.T.Fatal(err)
	}
	tr.Registry = r
	tr.T.Cleanup(func() { r.Close() })
}
