// Package ringtest starts rings for this module's tests: a registry and its nodes, over TCP or
// in memory, with what they wrap within reach. Its own tests are those of whole rings.
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
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Ring is a registry and its nodes.
type Ring struct {
	T        testing.TB
	Name     string           // of its nodes' hosts, with a number
	Net      *memnet.Network  // nil over TCP
	Shared   []ringdht.Option // of all members
	Registry *ringdht.Registry
	Addr     string
	Nodes    []*ringdht.Node // in the order of joining
}

var openRings atomic.Int32

// New starts a registry, on TCP if net is nil. Everything is closed when
// the test ends, and no goroutine may be left then.
func New(t testing.TB, net *memnet.Network, opts ...ringdht.RegistryOption) *Ring {
	t.Helper()
	tr := &Ring{T: t, Net: net, Name: "n"}
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
	// A loaded machine must not look like a dead node; tests of the lease set it.
	opts = append([]ringdht.RegistryOption{ringdht.WithLease(30 * time.Second)}, opts...)
	r, err := ringdht.NewRegistry(opts...)
	if err != nil {
		t.Fatal(err)
	}
	tr.Registry = r
	openRings.Add(1)
	t.Cleanup(func() {
		tr.Close()
		if openRings.Add(-1) > 0 { // the test has others
			return
		}
		if left := goroutinesLeft(); left != "" {
			t.Errorf("goroutines left behind:\n%s", left)
		}
	})
	a, err := r.Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	tr.Addr = a.String()
	return tr
}

func (tr *Ring) Close() {
	var wg sync.WaitGroup
	for _, n := range tr.Nodes {
		wg.Go(func() { n.Close() })
	}
	wg.Wait()
	tr.Registry.Close()
}

func (tr *Ring) Options(opts []ringdht.NodeOption) []ringdht.NodeOption {
	var all []ringdht.NodeOption
	for _, o := range tr.Shared {
		all = append(all, o)
	}
	if tr.Net != nil {
		all = append(all, ringdht.WithTransport(tr.Net.Host(fmt.Sprintf("%s%d", tr.Name, len(tr.Nodes)))))
	}
	return append(all, opts...)
}

func (tr *Ring) TryJoin(h ringdht.Handler, opts ...ringdht.NodeOption) (*ringdht.Node, error) {
	n, err := ringdht.Join(tr.Ctx(), tr.Addr, h, tr.Options(opts)...)
	if err == nil {
		tr.Nodes = append(tr.Nodes, n)
	}
	return n, err
}

// Join adds a node.
func (tr *Ring) Join(h ringdht.Handler, opts ...ringdht.NodeOption) *ringdht.Node {
	tr.T.Helper()
	n, err := tr.TryJoin(h, opts...)
	if err != nil {
		tr.T.Fatal(err)
	}
	return n
}

// Ctx is long enough for anything that is not broken.
func (tr *Ring) Ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	tr.T.Cleanup(cancel)
	return ctx
}

func (tr *Ring) Setup(k int, opts ...ringdht.SetupOption) status.Audit {
	tr.T.Helper()
	a, err := tr.Registry.Setup(tr.Ctx(), k, opts...)
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

// Position finds where in the ring each node is.
func (tr *Ring) Position() map[ringdht.ID]int {
	at := make(map[ringdht.ID]int)
	for i, p := range tr.Registry.Members() {
		at[p.ID] = i
	}
	return at
}

// Drop takes a node out of the test's list.
func (tr *Ring) Drop(n *ringdht.Node) {
	tr.Nodes = slices.DeleteFunc(tr.Nodes, func(x *ringdht.Node) bool { return x == n })
}

// Restart starts another registry at the address of the one that was closed.
func (tr *Ring) Restart(opts ...ringdht.RegistryOption) {
	tr.T.Helper()
	if tr.Net != nil {
		opts = append(opts, ringdht.WithTransport(tr.Net.Host("registry")))
	}
	r, err := ringdht.NewRegistry(opts...)
	if err != nil {
		tr.T.Fatal(err)
	}
	if _, err := r.Listen(tr.T.Context(), tr.Addr); err != nil {
		tr.T.Fatal(err)
	}
	tr.Registry = r
	tr.T.Cleanup(func() { r.Close() })
}
