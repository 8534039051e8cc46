package ringdht

import (
	"context"

	"github.com/x/ringdht"
	"github.com/x/ringdht/benchmarks/internal/bench"
)

var _ bench.Distributed = system{}

// Host starts a registry.
func (system) Host(ctx context.Context, t bench.Topology) (bench.Host, error) {
	r, err := ringdht.NewRegistry(ringdht.WithLease(lease))
	if err != nil {
		return nil, err
	}
	at, err := r.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		r.Close()
		return nil, err
	}
	_, entries := members(t)
	return host{r, at.String(), entries}, nil
}

type host struct {
	registry *ringdht.Registry
	addr     string
	entries  int
}

func (h host) Addr() string { return h.addr }
func (h host) Close() error { return h.registry.Close() }

func (h host) Form(ctx context.Context) error {
	_, err := h.registry.Setup(ctx, h.entries)
	return err
}

// Join joins a ring of processes.
func (s system) Join(ctx context.Context, t bench.Topology, i int, host string, deliver func(int, []byte)) (bench.Member, error) {
	node, err := join(ctx, host, i, deliver, ringdht.WithID(place(t, i)), ringdht.WithListen("127.0.0.1:0"))
	if err != nil {
		return nil, err
	}
	m := &member{node: node, system: s}
	for sink := range t.Nodes {
		m.sinks = append(m.sinks, place(t, sink))
	}
	return m, nil
}

type member struct {
	system
	node  *node
	sinks []ringdht.ID
}

func (m *member) Addr() string                                  { return m.node.Peer().Addr }
func (m *member) Connect(ctx context.Context, _ []string) error { return m.node.Ready(ctx) }
func (m *member) Sender() bench.Sender                          { return m.sender(m.node, m.sinks) }

// Close closes the node at once, as in one process.
func (m *member) Close() error {
	m.node.Close()
	return nil
}
