// Package ringdht measures ringdht by its public API.
package ringdht

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/memnet"
)

// New returns ringdht with streams: exactly once, in order.
func New() bench.System { return system{} }

// Cast returns ringdht without streams: fire and forget.
func Cast() bench.System { return system{cast: true} }

type system struct{ cast bool }

func (s system) Name() string {
	if s.cast {
		return "ringdht cast"
	}
	return "ringdht"
}

func (system) Supports(bench.Topology) bool { return true }

// members returns the number of nodes for a topology, and of their entries. A chain is a ring
// with tables of one entry, so that the route from node 0 to the last node passes the nodes
// in between. It has as many other nodes on the way back, so that answers and
// acknowledgements take as many hops.
func members(t bench.Topology) (nodes, entries int) {
	if t.Shape == bench.Chain {
		return 2 * (t.Nodes - 1), 1
	}
	return t.Nodes, t.Entries
}

// place returns the ID of a node: nodes ask for IDs in the order of their numbers, at equal
// distances.
func place(t bench.Topology, node int) ringdht.ID {
	nodes, _ := members(t)
	return ringdht.ID(node * (1 << 16) / nodes)
}

// lease is long: a fully loaded machine must not look like a dead one.
const lease = time.Minute

func (s system) Start(ctx context.Context, t bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	n := &net{system: s}
	if err := n.start(ctx, t, deliver); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

type net struct {
	system
	registry *ringdht.Registry
	nodes    []*node
	sinks    []ringdht.ID
}

func (n *net) start(ctx context.Context, t bench.Topology, deliver func(int, []byte)) (err error) {
	transport := func(string) ringdht.Transport { return ringdht.TCP{} }
	addr := "127.0.0.1:0"
	if t.Memory {
		memory := memnet.New(1)
		transport = func(host string) ringdht.Transport { return memory.Host(host) }
		addr = ":0"
	}
	n.registry, err = ringdht.NewRegistry(ringdht.WithLease(lease), ringdht.WithTransport(transport("registry")))
	if err != nil {
		return err
	}
	at, err := n.registry.Listen(ctx, addr)
	if err != nil {
		return err
	}
	count, entries := members(t)
	for i := range count {
		node, err := join(ctx, at.String(), i, deliver, ringdht.WithID(place(t, i)), ringdht.WithListen(addr), ringdht.WithTransport(transport(fmt.Sprint("node", i))))
		if err != nil {
			return err
		}
		n.nodes, n.sinks = append(n.nodes, node), append(n.sinks, node.ID())
	}
	if _, err := n.registry.Setup(ctx, entries); err != nil {
		return err
	}
	for _, node := range n.nodes {
		if err := node.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// node is a node and its service.
type node struct {
	*ringdht.Node
	service *ringdht.Service
}

func join(ctx context.Context, registry string, i int, deliver func(int, []byte), opts ...ringdht.NodeOption) (*node, error) {
	n := ringdht.NewNode(opts...)
	s := n.Service("")
	s.Handle(func(_ context.Context, m ringdht.Message) { deliver(i, m.Body) })
	return &node{n, s}, n.Join(ctx, registry)
}

func (n *net) Sender(node int) bench.Sender { return n.sender(n.nodes[node], n.sinks) }

// Close closes the nodes at once: the loads have waited for their messages.
func (n *net) Close() error {
	var wg sync.WaitGroup
	for _, node := range n.nodes {
		wg.Go(func() { node.Close() })
	}
	wg.Wait()
	if n.registry == nil {
		return nil
	}
	return n.registry.Close()
}

func (s system) sender(n *node, sinks []ringdht.ID) bench.Sender {
	one := sender{n.service, sinks}
	if s.cast {
		return caster{one}
	}
	return one
}

type sender struct {
	service *ringdht.Service
	sinks   []ringdht.ID
}

func (s sender) Send(sink int, payload []byte) error {
	return s.service.Send(context.Background(), s.sinks[sink], payload)
}

// Push does nothing: Send has put accepted messages on their way.
func (sender) Push() error { return nil }

type caster struct{ sender }

func (c caster) Send(sink int, payload []byte) error {
	return c.service.Cast(context.Background(), c.sinks[sink], payload)
}
