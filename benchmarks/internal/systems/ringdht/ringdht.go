// Package ringdht is ringdht as a system under measurement, by its public methods.
package ringdht

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/benchmarks/internal/bench"
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

// members is how many nodes there are in all, and their entries. A chain is a ring
// with tables of one entry, so that the way from node 0 to the last one passes
// those in between. It has as many others on the way back, so that answers and
// acknowledgements take as many hops.
func members(t bench.Topology) (nodes, entries int) {
	if t.Shape == bench.Chain {
		return 2 * (t.Nodes - 1), 1
	}
	return t.Nodes, t.Entries
}

// lease is long: a machine under full load must not look like a dead node.
const lease = time.Minute

func (s system) Start(ctx context.Context, t bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	n := &net{cast: s.cast}
	if err := n.start(ctx, t, deliver); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

type net struct {
	cast     bool
	registry *ringdht.Registry
	nodes    []*ringdht.Node // in ring order
	ids      []ringdht.ID    // of the nodes
}

func (n *net) start(ctx context.Context, t bench.Topology, deliver func(int, []byte)) error {
	options := []ringdht.RegistryOption{ringdht.WithLease(lease)}
	transport := func(string) ringdht.Transport { return ringdht.TCP{} }
	addr, listen := "127.0.0.1:0", "127.0.0.1:0"
	if t.Memory {
		m := ringdht.NewMemoryNetwork(1)
		transport = func(name string) ringdht.Transport { return m.Host(name) }
		options = append(options, ringdht.WithTransport(transport("registry")))
		addr, listen = "registry:0", ":0"
	}
	var err error
	if n.registry, err = ringdht.NewRegistry(options...); err != nil {
		return err
	}
	at, err := n.registry.Listen(ctx, addr)
	if err != nil {
		return err
	}
	count, entries := members(t)
	byID := make(map[ringdht.ID]*ringdht.Node)
	number := make([]int, count) // in ring order, of the nodes by joining; set before messages flow
	joined := make([]ringdht.ID, count)
	for i := range count {
		node, err := ringdht.Join(ctx, at.String(), func(_ context.Context, m ringdht.Message) {
			deliver(number[i], m.Body)
		}, ringdht.WithTransport(transport(fmt.Sprint("n", i))), ringdht.WithListen(listen))
		if err != nil {
			return err
		}
		n.nodes = append(n.nodes, node)
		byID[node.ID()], joined[i] = node, node.ID()
	}
	n.nodes = n.nodes[:0]
	for place, p := range n.registry.Members() {
		n.nodes, n.ids = append(n.nodes, byID[p.ID]), append(n.ids, p.ID)
		for i, id := range joined {
			if id == p.ID {
				number[i] = place
			}
		}
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


func (n *net) Sender(node int) bench.Sender {
	s := sender{n.nodes[node], n.ids}
	if n.cast {
		return caster(s)
	}
	return s
}

// Close closes the nodes at once: the loads have waited for what they sent.
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

type sender struct {
	node *ringdht.Node
	ids  []ringdht.ID
}

func (s sender) Send(sink int, payload []byte) error {
	return s.node.Send(context.Background(), s.ids[sink], payload)
}

// Push does nothing: what Send has accepted is on its way.
func (sender) Push() error { return nil }

type caster sender

func (c caster) Send(sink int, payload []byte) error {
	return c.node.Cast(context.Background(), c.ids[sink], payload)
}

func (caster) Push() error { return nil }
