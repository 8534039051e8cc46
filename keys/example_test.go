package keys_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/keys"
)

// Add is a method that all programs share: it adds to the counter of a key.
const Add = keys.Method[int64, int64, int64]("add")

// Step 5 of the course of package [ringdht]: keys. A counter for each key is at one of the nodes that
// handle Add. One of them leaves, and what it has counted goes to the others.
//
// Try: let first Close in the place of Leave, which is a crash. Its counters begin anew, and a message
// that it may have handled has no known outcome: counters.Flush says so.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	registry, err := ringdht.NewRegistry()
	check(err)
	defer registry.Close()
	addr, err := registry.Listen(ctx, "127.0.0.1:0")
	check(err)

	join := func(owns bool) (*ringdht.Node, *keys.Space[int64]) {
		n := ringdht.NewNode()
		counters := keys.New[int64](n, "counters") // before Join, as all services
		if owns {
			Add.Handle(counters, func(_ context.Context, _ string, count *int64, by int64) (int64, error) {
				*count += by
				return *count, nil
			})
		}
		check(n.Join(ctx, addr.String()))
		return n, counters
	}
	first, _ := join(true)
	second, _ := join(true)
	defer second.Close()
	client, counters := join(false)
	defer client.Close()
	_, err = registry.Setup(ctx, 0)
	check(err)

	for _, fruit := range []string{"apples", "pears", "plums"} {
		for by := range int64(4) {
			check(Add.Send(ctx, counters, fruit, by)) // in order, without waiting for the answers
		}
	}
	check(first.Leave(ctx)) // its counters move to the second node
	for _, fruit := range []string{"apples", "pears", "plums"} {
		n, err := Add.Call(ctx, counters, fruit, 10)
		check(err)
		fmt.Println(n, fruit)
	}
	// Output:
	// 16 apples
	// 16 pears
	// 16 plums
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
