package topic_test

import (
	"context"
	"fmt"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/topic"
)

// Line is what the programs of a chat send each other.
type Line struct{ Name, Text string }

// Two nodes chat: what one publishes, both get.
func Example() {
	ctx := context.Background()
	ring := startRing()
	defer ring.Close()

	ada := newNode("ada")
	defer ada.Close()
	adasLines := topic.New[Line](ada, "chat")
	ben := newNode("ben")
	defer ben.Close()
	bensLines := topic.New[Line](ben, "chat")
	join(ada, ben)

	sub, err := bensLines.Subscribe(ctx, "go") // it stands: nothing is missed from here on
	if err != nil {
		panic(err)
	}
	for _, text := range []string{"hello", "bye"} {
		if err := adasLines.Publish(ctx, "go", Line{"Ada", text}); err != nil {
			panic(err)
		}
	}
	for m := range sub.All(ctx) {
		fmt.Println(m.Source == ada.ID(), m.Value.Name, m.Value.Text)
		if m.Value.Text == "bye" {
			break
		}
	}
	// Output:
	// true Ada hello
	// true Ada bye
}

// A configuration: the latest value is there for each program that comes later, and a slow one skips
// to the newest.
func ExampleWithRetained() {
	ctx := context.Background()
	ring := startRing()
	defer ring.Close()

	office := newNode("office")
	defer office.Close()
	settings := topic.New[int](office, "settings", topic.WithRetained(), topic.WithBuffer(1))
	join(office)
	for limit := range 3 {
		if err := settings.Publish(ctx, "limit", limit); err != nil {
			panic(err)
		}
	}

	late := newNode("late")
	defer late.Close()
	settings = topic.New[int](late, "settings", topic.WithRetained(), topic.WithBuffer(1))
	join(late)
	sub, err := settings.Subscribe(ctx, "limit")
	if err != nil {
		panic(err)
	}
	for m := range sub.All(ctx) {
		fmt.Println("the limit is", m.Value)
		break
	}
	// Output: the limit is 2
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
