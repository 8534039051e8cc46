package ringdht_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Three nodes on one machine: the first sends to the others.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	network := memnet.New(1) // leave WithTransport out for TCP

	registry, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	if err != nil {
		log.Fatal(err)
	}
	defer registry.Close()
	if _, err := registry.Listen(ctx, "registry:1"); err != nil {
		log.Fatal(err)
	}

	var nodes []*ringdht.Node
	var greetings []*ringdht.Service // one service of each node
	for i, host := range []string{"a", "b", "c"} {
		n := ringdht.NewNode(ringdht.WithTransport(network.Host(host)))
		defer n.Close()
		nodes, greetings = append(nodes, n), append(greetings, n.Service("greetings"))
		greetings[i].Handle(func(_ context.Context, m ringdht.Message) { fmt.Printf("%s\n", m.Body) })
		if err := n.Join(ctx, "registry:1"); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := registry.Setup(ctx, 0); err != nil { // 0: as many entries as are useful
		log.Fatal(err)
	}

	n := nodes[0]
	if err := n.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	for i, to := range n.Members() {
		if err := greetings[0].Send(ctx, to.ID, fmt.Appendf(nil, "message %d", i+1)); err != nil {
			log.Fatal(err)
		}
	}
	if err := n.Flush(ctx); err != nil { // when it returns, both have been handled
		log.Fatal(err)
	}
	// Unordered output:
	// message 1
	// message 2
}

// A run of traffic whose every message is accounted for.
func ExampleRegistry_RunTraffic() {
	ctx := context.Background()
	network := memnet.New(1)
	registry, _ := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	defer registry.Close()
	registry.Listen(ctx, "registry:1")
	for i := range 10 {
		host := network.Host(fmt.Sprintf("host%d", i))
		n := ringdht.NewNode(ringdht.WithTransport(host), ringdht.WithTraffic())
		defer n.Close()
		if err := n.Join(ctx, "registry:1"); err != nil {
			log.Fatal(err)
		}
	}
	audit, err := registry.Setup(ctx, 3)
	if err != nil {
		log.Fatal(err)
	}
	summary, err := registry.RunTraffic(ctx, status.Traffic{Messages: 1000})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("mean hops %.3f, at most %d\n", audit.MeanHops, audit.MaxHops)
	fmt.Println("sent", summary.Sum.Sent, "received", summary.Sum.Received)
	fmt.Println("Verdict:", summary.Verdict())
	// Output:
	// mean hops 1.889, at most 3
	// sent 10000 received 10000
	// Verdict: exact
}

// Values instead of bytes: the codec encodes at one end and decodes at the other.
func ExampleService_SendValue() {
	type reading struct {
		Sensor string
		Value  float64
	}
	ctx := context.Background()
	network := memnet.New(1)
	registry, _ := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	defer registry.Close()
	registry.Listen(ctx, "registry:1")

	sink := ringdht.NewNode(ringdht.WithTransport(network.Host("sink")))
	defer sink.Close()
	sink.Service("readings").Handle(func(_ context.Context, m ringdht.Message) {
		var r reading
		if err := m.Decode(&r); err != nil {
			log.Print(err)
			return
		}
		fmt.Printf("%s is %.1f\n", r.Sensor, r.Value)
	})
	sink.Join(ctx, "registry:1")
	source := ringdht.NewNode(ringdht.WithTransport(network.Host("source")))
	defer source.Close()
	readings := source.Service("readings") // without a handler it only sends
	source.Join(ctx, "registry:1")

	registry.Setup(ctx, 0)
	readings.SendValue(ctx, sink.ID(), reading{"temperature", 21.5})
	source.Flush(ctx)
	// Output: temperature is 21.5
}

// The routing rule on its own, on the ring of the package's documentation.
func ExampleClosestPreceding() {
	entries := []ringdht.ID{21, 32, 54} // of node 10
	for _, dst := range []ringdht.ID{32, 99, 15} {
		if i := ringdht.ClosestPreceding(16, 10, dst, entries); i >= 0 {
			fmt.Println("to", dst, "by way of", entries[i])
		} else {
			fmt.Println("there is no", dst)
		}
	}
	// Output:
	// to 32 by way of 32
	// to 99 by way of 54
	// there is no 15
}

// Messages whose delivery is not known come back when their sink dies.
func ExampleNode_Flush() {
	ctx := context.Background()
	network := memnet.New(1)
	registry, _ := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	defer registry.Close()
	registry.Listen(ctx, "registry:1")
	source := ringdht.NewNode(ringdht.WithTransport(network.Host("source")))
	defer source.Close()
	letters := source.Service("letters")
	source.Join(ctx, "registry:1")
	sink := ringdht.NewNode(ringdht.WithTransport(network.Host("sink")))
	sink.Service("letters").Handle(func(context.Context, ringdht.Message) {})
	sink.Join(ctx, "registry:1")
	registry.Setup(ctx, 0)

	letters.Send(ctx, sink.ID(), []byte("zero"))
	source.Flush(ctx)              // it was handled
	network.Hold("source", "sink") // nothing arrives at the sink any more
	letters.Send(ctx, sink.ID(), []byte("one"))
	letters.Send(ctx, sink.ID(), []byte("two"))
	sink.Close()

	err := source.Flush(ctx)
	if e, ok := errors.AsType[*status.UndeliveredError](err); ok {
		for _, u := range e.Streams {
			fmt.Printf("%d messages, %d of them certainly not handled: %q\n", u.Messages, u.NotHandled, u.Bodies)
		}
	}
	fmt.Println("the sink is gone:", errors.Is(err, ringdht.ErrGone))
	// Output:
	// 2 messages, 0 of them certainly not handled: ["one" "two"]
	// the sink is gone: true
}

// What a node shows of itself.
func ExampleNode_Status() {
	ctx := context.Background()
	network := memnet.New(1)
	registry, _ := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	defer registry.Close()
	registry.Listen(ctx, "registry:1")
	var nodes []*ringdht.Node
	var greetings []*ringdht.Service
	for i, host := range []string{"a", "b", "c", "d", "e"} {
		n := ringdht.NewNode(ringdht.WithTransport(network.Host(host)))
		defer n.Close()
		nodes, greetings = append(nodes, n), append(greetings, n.Service("greetings"))
		greetings[i].Handle(func(context.Context, ringdht.Message) {})
		if err := n.Join(ctx, "registry:1"); err != nil {
			log.Fatal(err)
		}
	}
	registry.Setup(ctx, 2)
	n := nodes[0]
	n.Ready(ctx)
	for _, to := range n.Members() {
		greetings[0].Send(ctx, to.ID, []byte("hello"))
	}
	n.Flush(ctx)

	s := n.Status()
	fmt.Println(s.Members, "members,", len(s.Links), "links")
	fmt.Println("sent", s.Counters.Sent, "dropped", s.Counters.Dropped.QueueFull)
	// Output:
	// 5 members, 2 links
	// sent 4 dropped 0
}

// A node hears which members come and go.
func ExampleNode_Watch() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	network := memnet.New(1)
	registry, _ := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	defer registry.Close()
	registry.Listen(ctx, "registry:1")
	join := func(host string, id ringdht.ID) *ringdht.Node {
		// With WithRetry a node may start before its registry.
		n := ringdht.NewNode(ringdht.WithTransport(network.Host(host)), ringdht.WithID(id), ringdht.WithRetry())
		if err := n.Join(ctx, "registry:1"); err != nil {
			log.Fatal(err)
		}
		return n
	}
	first := join("a", 10)
	defer first.Close()
	if _, err := registry.Setup(ctx, 0); err != nil {
		log.Fatal(err)
	}

	var second *ringdht.Node
	for e := range first.Watch(ctx) {
		fmt.Println(e)
		if e.Change.Over() {
			break
		}
		if e.Self {
			second = join("b", 20)
		} else {
			second.Leave(ctx) // a loop may wait: it holds up nothing
		}
	}
	// Output:
	// this node, 10, is present
	// node 20 joined
	// node 20 left
}
