package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
)

// Count is a method: its name, and the types of its requests and answers. Both programs share it.
const Count = rpc.Method[string, int]("count")

// ErrEmpty is an error that both programs know.
var ErrEmpty = rpc.NewError("empty", "there are no words")

// count handles requests, each on a goroutine of its own.
func count(_ context.Context, text string) (int, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return 0, fmt.Errorf("counting %q: %w", text, ErrEmpty)
	}
	return len(words), nil
}

// Step 2 of the course of package [ringdht]: requests. A client asks a worker, and gets an answer or
// an error. One that matches [ErrNotHandled] says that another worker may be asked, and one that
// matches [ErrUnknown] that the request may have been handled. Any other is the worker's answer.
//
// Try: let count wait for its context, and make the first call with a context of 100 ms, the only one. The
// deadline ends the handler too, and the error matches [context.DeadlineExceeded] and [ErrUnknown].
// Next: names, [ringdht.WithName].
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	worker, client := ringdht.NewNode(), ringdht.NewNode()
	defer worker.Close()
	defer client.Close()
	Count.Handle(rpc.New(worker, "words"), count)
	words := rpc.New(client, "words") // it handles nothing, so it only calls
	defer startRing(ctx, worker, client).Close()

	n, err := Count.Call(ctx, words, worker.ID(), "to be or not to be")
	fmt.Println(n, err)
	_, err = Count.Call(ctx, words, worker.ID(), " ")
	fmt.Println("no words:", errors.Is(err, ErrEmpty)) // the error has crossed the ring
	_, err = Count.Call(ctx, words, client.ID(), "to be")
	fmt.Println("no handler:", errors.Is(err, ringdht.ErrNoService))
	// Output:
	// 6 <nil>
	// no words: true
	// no handler: true
}

// Middleware sees each call at both ends. Metadata goes along with the request.
func ExampleWithMiddleware() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	trace := rpc.WithMiddleware(func(next rpc.Func) rpc.Func {
		return func(ctx context.Context, op *rpc.Op) (any, error) {
			answer, err := next(ctx, op)
			fmt.Printf("serving=%v %s/%s for %s: %v\n", op.Serving, op.Service, op.Method, op.Meta.Get("user"), answer)
			return answer, err
		}
	})
	worker, client := ringdht.NewNode(), ringdht.NewNode()
	defer worker.Close()
	defer client.Close()
	Count.Handle(rpc.New(worker, "words", trace), count)
	words := rpc.New(client, "words", trace)
	defer startRing(ctx, worker, client).Close()

	_, err := Count.Call(rpc.WithMeta(ctx, "user", "ada"), words, worker.ID(), "one two")
	check(err)
	// Output:
	// serving=true words/count for ada: 2
	// serving=false words/count for ada: 2
}

// startRing makes a ring of nodes, as in step 1.
func startRing(ctx context.Context, nodes ...*ringdht.Node) *ringdht.Registry {
	registry, err := ringdht.NewRegistry()
	check(err)
	addr, err := registry.Listen(ctx, "127.0.0.1:0")
	check(err)
	for _, n := range nodes {
		check(n.Join(ctx, addr.String()))
	}
	_, err = registry.Setup(ctx, 0)
	check(err)
	return registry
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
