package calls

import (
	"context"
	"errors"
	"time"

	client "github.com/nats-io/nats.go"

	"github.com/x/ringdht/benchmarks/internal/bench"
	server "github.com/x/ringdht/benchmarks/internal/systems/nats"
)

// nats is request and reply over NATS core. Its server is between the two clients, so a request has
// two hops, in longer chains too. The callee answers on the goroutine of its subscription.
type nats struct{}

func (nats) Name() string                 { return "NATS request/reply" }
func (nats) Supports(bench.Topology) bool { return true }

func (nats) Start(context.Context, bench.Topology, func(int, []byte)) (bench.Net, error) {
	url, stop, err := server.Serve()
	if err != nil {
		return nil, err
	}
	n := &natsNet{stop: stop}
	for i := range n.conns {
		if n.conns[i], err = client.Connect(url); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	_, err = n.conns[1].Subscribe("calls", func(m *client.Msg) { _ = m.Respond(m.Data) })
	if err == nil {
		err = n.conns[1].Flush()
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

type natsNet struct {
	conns [2]*client.Conn
	stop  func()
}

func (n *natsNet) Sender(int) bench.Sender { return natsCaller{conn: n.conns[0]} }

type natsCaller struct {
	none
	conn *client.Conn
}

func (c natsCaller) Send(_ int, payload []byte) error {
	_, err := c.conn.Request("calls", payload, 10*time.Second)
	return err
}

func (n *natsNet) Close() error {
	for _, c := range n.conns {
		if c != nil {
			c.Close()
		}
	}
	n.stop()
	return nil
}
