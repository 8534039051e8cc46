package broadcast

import (
	"context"
	"errors"

	client "github.com/nats-io/nats.go"

	"github.com/x/ringdht/benchmarks/internal/bench"
	server "github.com/x/ringdht/benchmarks/internal/systems/nats"
)

// nats is a publish of NATS core: the server writes the message to each subscriber. It promises at most
// once, and keeps nothing.
type nats struct{}

func (nats) Name() string                 { return "NATS publish" }
func (nats) Supports(bench.Topology) bool { return true }

func (nats) Start(_ context.Context, t bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	url, stop, err := server.Serve()
	if err != nil {
		return nil, err
	}
	n := &natsNet{stop: stop}
	for i := range t.Nodes {
		c, err := client.Connect(url)
		if err != nil {
			return nil, errors.Join(err, n.Close())
		}
		n.conns = append(n.conns, c)
		if i == 0 {
			continue
		}
		if _, err = c.Subscribe("topic", func(m *client.Msg) { deliver(i, m.Data) }); err == nil {
			err = c.Flush()
		}
		if err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	return n, nil
}

type natsNet struct {
	conns []*client.Conn
	stop  func()
}

func (n *natsNet) Sender(int) bench.Sender { return natsPublisher{conn: n.conns[0]} }

type natsPublisher struct {
	none
	conn *client.Conn
}

func (p natsPublisher) Send(_ int, payload []byte) error { return p.conn.Publish("topic", payload) }

func (n *natsNet) Close() error {
	for _, c := range n.conns {
		c.Close()
	}
	n.stop()
	return nil
}
