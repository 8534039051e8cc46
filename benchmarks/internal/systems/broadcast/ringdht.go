package broadcast

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/topic"
)

// ring is package topic with the default codec, on a ring with tables of its default size.
type ring struct{}

func (ring) Name() string                 { return "ringdht topic" }
func (ring) Supports(bench.Topology) bool { return true }

func (ring) Start(ctx context.Context, t bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	n := &ringNet{}
	if err := n.start(ctx, t.Nodes, deliver); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

type ringNet struct {
	registry *ringdht.Registry
	nodes    []*ringdht.Node
	topics   []*topic.Topic[[]byte]
	loops    sync.WaitGroup
}

func (n *ringNet) start(ctx context.Context, nodes int, deliver func(int, []byte)) (err error) {
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
		n.topics = append(n.topics, topic.New[[]byte](node, "topic", topic.WithBuffer(1<<16)))
		if err := node.Join(ctx, at.String()); err != nil {
			return fmt.Errorf("node %d: %w", id, err)
		}
	}
	if _, err := n.registry.Setup(ctx, 0); err != nil {
		return err
	}
	for i, t := range n.topics {
		sub, err := t.Subscribe(ctx, "topic")
		if err != nil {
			return err
		}
		if i == 0 {
			sub.Close() // it stands, so that it can publish at once
			continue
		}
		n.loops.Go(func() {
			for m := range sub.All(context.Background()) {
				deliver(i, m.Value)
			}
		})
	}
	return nil
}

func (n *ringNet) Sender(int) bench.Sender { return ringPublisher{topic: n.topics[0]} }

type ringPublisher struct {
	none
	topic *topic.Topic[[]byte]
}

func (p ringPublisher) Send(_ int, payload []byte) error {
	return p.topic.Publish(context.Background(), "topic", payload)
}

func (n *ringNet) Close() error {
	var wg sync.WaitGroup
	for _, node := range n.nodes {
		wg.Go(func() { node.Close() })
	}
	wg.Wait()
	n.loops.Wait()
	if n.registry == nil {
		return nil
	}
	return n.registry.Close()
}
