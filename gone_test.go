package ringdht_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
)

// In a ring whose registry took its time to admit the nodes, as a new one does, a source hears at once
// that a node is gone, also right after the start.
func TestDeathInAFreshRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		network := memnet.New(1)
		registry, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")), ringdht.WithSelfSetup(0))
		if err != nil {
			t.Fatal(err)
		}
		defer registry.Close()
		if _, err := registry.Listen(ctx, "registry:1"); err != nil {
			t.Fatal(err)
		}
		var nodes []*ringdht.Node
		var services []*ringdht.Service
		var joining sync.WaitGroup
		for i := range 3 {
			n := ringdht.NewNode(ringdht.WithTransport(network.Host(fmt.Sprint("n", i))))
			defer n.Close()
			s := n.Service("s")
			s.Handle(func(context.Context, ringdht.Message) {})
			nodes, services = append(nodes, n), append(services, s)
			joining.Go(func() {
				if err := errors.Join(n.Join(ctx, "registry:1"), n.Ready(ctx)); err != nil {
					t.Error(err)
				}
			})
		}
		joining.Wait()
		gone := nodes[0].ID()
		settle := func() {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
		}
		settle()
		nodes[0].Close()
		settle() // all have heard of it
		for _, i := range []int{1, 2} {
			began := time.Now()
			err := services[i].Send(ctx, gone, nil)
			if took := time.Since(began); !errors.Is(err, ringdht.ErrNoSuchNode) || took > 100*time.Millisecond {
				t.Errorf("node %v hears after %v: %v", nodes[i].ID(), took, err)
			}
		}
	})
}
