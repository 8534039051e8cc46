package memnet_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
)

// A program that tests itself against a network that loses frames.
func Example() {
	ctx := context.Background()
	network := memnet.New(42) // the seed decides what is lost
	registry, _ := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	defer registry.Close()
	registry.Listen(ctx, "registry:1")

	var mu sync.Mutex
	count := 0
	a, b := ringdht.NewNode(ringdht.WithTransport(network.Host("a"))), ringdht.NewNode(ringdht.WithTransport(network.Host("b")))
	defer a.Close()
	defer b.Close()
	greetings := a.Service("greetings")
	b.Service("greetings").Handle(func(context.Context, ringdht.Message) { mu.Lock(); count++; mu.Unlock() })
	a.Join(ctx, "registry:1")
	b.Join(ctx, "registry:1")
	registry.Setup(ctx, 0)

	network.Drop("a", "b", 0.2) // every fifth write is lost
	for range 100 {
		greetings.Send(ctx, b.ID(), []byte("hello"))
	}
	a.Flush(ctx)
	mu.Lock()
	defer mu.Unlock()
	fmt.Println(count, "messages arrived, once each")
	// Output: 100 messages arrived, once each
}
