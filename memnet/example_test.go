package memnet_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
)

// Step 6 of the course of package [github.com/x/ringdht]: faults. The network is in memory, and loses
// every fifth write between two nodes. Messages arrive once each, and in order: streams repeat what
// is lost.
//
// The section "In a test" has the same as a test in virtual time, with a node that is cut off.
//
// Try: lose two writes of five, and measure the time. Next: a ring across machines,
// [github.com/x/ringdht.Node.Serve].
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	network := memnet.New(42) // the seed decides what is lost

	// Each node has a host of its own. Otherwise this is step 1.
	registry, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	check(err)
	defer registry.Close()
	_, err = registry.Listen(ctx, "registry:1")
	check(err)
	ann := ringdht.NewNode(ringdht.WithTransport(network.Host("ann")))
	defer ann.Close()
	numbers := ann.Service("numbers")
	bob := ringdht.NewNode(ringdht.WithTransport(network.Host("bob")))
	defer bob.Close()
	count, inOrder := 0, true
	bob.Service("numbers").Handle(func(_ context.Context, m ringdht.Message) { // one at a time for each source
		inOrder = inOrder && int(m.Body[0]) == count
		count++
	})
	check(ann.Join(ctx, "registry:1"))
	check(bob.Join(ctx, "registry:1"))
	_, err = registry.Setup(ctx, 0)
	check(err)

	network.Drop("ann", "bob", 0.2)
	for i := range 100 {
		check(numbers.Send(ctx, bob.ID(), []byte{byte(i)}))
	}
	check(ann.Flush(ctx)) // all handlers have returned, so this goroutine may read what they wrote
	fmt.Println(count, "messages arrived, in order:", inOrder)
	// Output: 100 messages arrived, in order: true
}
