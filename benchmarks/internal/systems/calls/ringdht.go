package calls

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/rpc"
)

// ring is package rpc with the default codec. A chain is a ring with tables of one entry, in which
// answers take as many hops as requests.
type ring struct{}

const echo = rpc.Method[[]byte, []byte]("echo")

func (ring) Name() string                 { return "ringdht rpc" }
func (ring) Supports(bench.Topology) bool { return true }

func (ring) Start(ctx context.Context, t bench.Topology, _ func(int, []byte)) (bench.Net, error) {
	n := &ringNet{last: ringdht.ID(t.Nodes - 1)}
	if err := n.start(ctx, 2*(t.Nodes-1)); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

type ringNet struct {
	registry *ringdht.Registry
	nodes    []*ringdht.Node
	caller   *rpc.Endpoint
	last     ringdht.ID
}

func (n *ringNet) start(ctx context.Context, nodes int) (err error) {
	if n.registry, err = ringdht.NewRegistry(ringdht.WithLease(time.Minute)); err != nil {
		return err
	}
	at, err := n.registry.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	for id := range ringdht.ID(nodes) {
		node := ringdht.NewNode(ringdht.WithID(id), ringdht.WithListen("127.0.0.1:0"))
		n.nodes = append(n.nodes, node)
		e := rpc.New(node, "calls")
		echo.Handle(e, func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
		if id == 0 {
			n.caller = e
		}
		if err := node.Join(ctx, at.String()); err != nil {
			return fmt.Errorf("node %d: %w", id, err)
		}
	}
	if _, err := n.registry.Setup(ctx, 1); err != nil {
		return err
	}
	for _, node := range n.nodes {
		if err := node.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (n *ringNet) Sender(int) bench.Sender { return ringCaller{net: n} }

type ringCaller struct {
	none
	net *ringNet
}

func (c ringCaller) Send(_ int, payload []byte) error {
	_, err := echo.Call(context.Background(), c.net.caller, c.net.last, payload)
	return err
}

func (n *ringNet) Close() error {
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
