package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/rpc"
)

// Count is a method: its name, and the types of its requests and answers.
const Count = rpc.Method[string, int]("count")

// ErrEmpty is an error that both programs know.
var ErrEmpty = rpc.NewError("empty", "there are no words")

func count(_ context.Context, text string) (int, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return 0, fmt.Errorf("counting %q: %w", text, ErrEmpty)
	}
	return len(words), nil
}

// Two nodes: a worker handles a method, and a client calls it.
func Example() {
	ctx := context.Background()
	ring := startRing()
	defer ring.Close()

	worker := newNode("worker")
	defer worker.Close()
	Count.Handle(rpc.New(worker, "words"), count)
	client := newNode("client")
	defer client.Close()
	words := rpc.New(client, "words")
	join(worker, client)

	n, err := Count.Call(ctx, words, worker.ID(), "to be or not to be")
	fmt.Println(n, err)
	_, err = Count.Call(ctx, words, worker.ID(), " ")
	fmt.Println(errors.Is(err, ErrEmpty))
	_, err = Count.Call(ctx, words, client.ID(), "a client handles nothing")
	fmt.Println(errors.Is(err, ringdht.ErrNoService))
	// Output:
	// 6 <nil>
	// true
	// true
}

// Middleware sees each call at both ends. Metadata goes along with the request.
func ExampleWithMiddleware() {
	ctx := context.Background()
	ring := startRing()
	defer ring.Close()

	trace := rpc.WithMiddleware(func(next rpc.Func) rpc.Func {
		return func(ctx context.Context, op *rpc.Op) (any, error) {
			answer, err := next(ctx, op)
			fmt.Printf("serving=%v %s/%s for %s: %v\n", op.Serving, op.Service, op.Method, op.Meta.Get("user"), answer)
			return answer, err
		}
	})
	worker := newNode("worker")
	defer worker.Close()
	Count.Handle(rpc.New(worker, "words", trace), count)
	client := newNode("client")
	defer client.Close()
	words := rpc.New(client, "words", trace)
	join(worker, client)

	if _, err := Count.Call(rpc.WithMeta(ctx, "user", "ada"), words, worker.ID(), "one two"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// serving=true words/count for ada: 2
	// serving=false words/count for ada: 2
}

// The examples run in memory.
var network = memnet.New(1)

const registry = "registry:1"

func startRing() *ringdht.Registry {
	r, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")), ringdht.WithSelfSetup(1), ringdht.WithGrace(1))
	if err != nil {
		panic(err)
	}
	if _, err := r.Listen(context.Background(), registry); err != nil {
		panic(err)
	}
	return r
}

func newNode(host string) *ringdht.Node {
	return ringdht.NewNode(ringdht.WithTransport(network.Host(host)))
}

func join(nodes ...*ringdht.Node) {
	ctx := context.Background()
	for _, n := range nodes {
		if err := n.Join(ctx, registry); err != nil {
			panic(err)
		}
	}
	for _, n := range nodes {
		if err := n.Ready(ctx); err != nil {
			panic(err)
		}
	}
}
