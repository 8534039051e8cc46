package ringdht

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// testRing is a registry and its nodes over one transport each.
type testRing struct {
	t        testing.TB
	net      *MemoryNetwork // nil over TCP
	registry *Registry
	addr     string
	nodes    []*Node // in the order of joining
}

// newTestRing starts a registry, on TCP if net is nil, and closes everything when
// the test ends.
func newTestRing(t testing.TB, net *MemoryNetwork, opts ...RegistryOption) *testRing {
	t.Helper()
	tr := &testRing{t: t, net: net}
	addr := "127.0.0.1:0"
	if net != nil {
		opts = append(opts, WithTransport(net.Host("registry")))
		addr = "registry:0"
	}
	r, err := NewRegistry(opts...)
	if err != nil {
		t.Fatal(err)
	}
	tr.registry = r
	t.Cleanup(tr.close)
	a, err := r.Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	tr.addr = a.String()
	return tr
}

func (tr *testRing) close() {
	for _, n := range tr.nodes {
		n.Close()
	}
	tr.registry.Close()
}

// join adds a node.
func (tr *testRing) join(h Handler, opts ...NodeOption) *Node {
	tr.t.Helper()
	n, err := tr.tryJoin(h, opts...)
	if err != nil {
		tr.t.Fatal(err)
	}
	return n
}

func (tr *testRing) tryJoin(h Handler, opts ...NodeOption) (*Node, error) {
	if tr.net != nil {
		opts = append([]NodeOption{WithTransport(tr.net.Host(fmt.Sprintf("n%d", len(tr.nodes))))}, opts...)
	}
	n, err := Join(tr.ctx(), tr.addr, h, opts...)
	if err == nil {
		tr.nodes = append(tr.nodes, n)
	}
	return n, err
}

// ctx is long enough for anything that is not broken.
func (tr *testRing) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	tr.t.Cleanup(cancel)
	return ctx
}

func (tr *testRing) setup(k int) Audit {
	tr.t.Helper()
	a, err := tr.registry.Setup(tr.ctx(), k)
	if err != nil {
		tr.t.Fatal(err)
	}
	for _, n := range tr.nodes {
		if err := n.Ready(tr.ctx()); err != nil {
			tr.t.Fatal(err)
		}
	}
	return a
}

func TestQuick(t *testing.T) {
	tr := newTestRing(t, nil)
	for range 10 {
		tr.join(nil, WithTraffic())
	}
	fmt.Println(tr.setup(3))
	for _, m := range []int{25000, 100000} {
		s, err := tr.registry.Run(tr.ctx(), Traffic{Messages: m})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%+v\n%v %s rate %.0f hops %.3f max %d\n", s.Sum, s.Elapsed, s.Verdict(), s.Rate(), s.MeanHops, s.MaxHops)
	}
	fmt.Printf("%+v\n", tr.nodes[0].Counters())
	hops, err := tr.nodes[0].Trace(tr.ctx(), tr.nodes[1].ID())
	fmt.Println(hops, err)
}
