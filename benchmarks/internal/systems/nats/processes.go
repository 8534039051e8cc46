package nats

import (
	"context"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

var _ bench.Distributed = system{}

// Host starts a server.
func (system) Host(context.Context, bench.Topology) (bench.Host, error) {
	url, stop, err := Serve()
	if err != nil {
		return nil, err
	}
	return host{url, stop}, nil
}

type host struct {
	url  string
	stop func()
}

func (h host) Addr() string             { return h.url }
func (host) Form(context.Context) error { return nil }

func (h host) Close() error {
	h.stop()
	return nil
}

// Join connects a client.
func (system) Join(_ context.Context, t bench.Topology, node int, host string, deliver func(int, []byte)) (bench.Member, error) {
	n, err := Connect(host, node, t, deliver)
	if err != nil {
		return nil, err
	}
	return member{n}, nil
}

type member struct{ node *Node }

func (member) Addr() string                            { return "" }
func (member) Connect(context.Context, []string) error { return nil } // the server knows all clients
func (m member) Sender() bench.Sender                  { return m.node }

func (m member) Close() error {
	m.node.Close()
	return nil
}
