package reference

import (
	"context"
	"net"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

var _ bench.Distributed = ideal{}

// Host starts nothing: the nodes need only each other's addresses.
func (ideal) Host(context.Context, bench.Topology) (bench.Host, error) { return nobody{}, nil }

type nobody struct{}

func (nobody) Addr() string               { return "" }
func (nobody) Form(context.Context) error { return nil }
func (nobody) Close() error               { return nil }

// Join starts a node that listens.
func (s ideal) Join(ctx context.Context, t bench.Topology, i int, _ string, deliver func(int, []byte)) (bench.Member, error) {
	l, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	return &member{node: s.node(i, t, deliver), listener: l}, nil
}

// member is a node in a process of its own.
type member struct {
	*node
	listener net.Listener
}

func (m *member) Addr() string         { return m.listener.Addr().String() }
func (m *member) Sender() bench.Sender { return m.node }

// Connect dials the entries, and accepts as many connections.
func (m *member) Connect(ctx context.Context, addrs []string) error {
	if err := m.dial(ctx, addrs); err != nil {
		return err
	}
	return m.acceptAll()
}

func (m *member) dial(ctx context.Context, addrs []string) error {
	for e := range m.links {
		conn, err := dial(ctx, addrs[(m.self+1<<e)%len(addrs)])
		if err != nil {
			return err
		}
		m.open(e, conn)
	}
	return nil
}

func (m *member) acceptAll() error {
	for range m.links {
		conn, err := accept(m.listener)
		if err != nil {
			return err
		}
		m.accept(conn)
	}
	return nil
}

func (m *member) Close() error {
	err := m.listener.Close()
	m.hangUp()
	m.wg.Wait()
	return err
}
