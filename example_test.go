package ringdht_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Step 1 of the course: two nodes. Ann sends bob a message, and knows when he has handled it.
//
// The registry and the nodes are in one process here. Each may be a program of its own: see step 6.
//
// Try: send to the ID 1. No node has it, and the error matches [ErrNoSuchNode]. Next: requests, in
// package [github.com/x/ringdht/rpc].
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	// A registry admits nodes and hands out routing tables. It carries no messages.
	registry, err := ringdht.NewRegistry()
	check(err)
	defer registry.Close()
	addr, err := registry.Listen(ctx, "127.0.0.1:0") // a free port of this machine
	check(err)

	// Messages go from a service of one node to the service of the same name at another. A node
	// registers its services before it joins. A service without a handler only sends.
	ann, bob := ringdht.NewNode(), ringdht.NewNode()
	defer ann.Close()
	defer bob.Close()
	greetings := ann.Service("greetings")
	bob.Service("greetings").Handle(func(_ context.Context, m ringdht.Message) {
		fmt.Printf("bob has got %q, from ann: %v\n", m.Body, m.Source == ann.ID())
	})
	check(ann.Join(ctx, addr.String()))
	check(bob.Join(ctx, addr.String()))

	// Setup gives all nodes their tables: the ring is live. 0 means as many entries as are useful.
	_, err = registry.Setup(ctx, 0)
	check(err)

	// Send returns when the message is accepted, and Flush when the handler has returned.
	check(greetings.Send(ctx, bob.ID(), []byte("hello")))
	check(ann.Flush(ctx))
	fmt.Println("handled")
	// Output:
	// bob has got "hello", from ann: true
	// handled
}

// Step 3 of the course: names, tags, and the members that come and go. IDs are drawn anew when a
// program starts, so programs find each other by name.
//
// Try: let the second bob join with [WithRetry], in a goroutine. He stands by, and joins when the
// first one leaves. Next: topics, in package [github.com/x/ringdht/topic].
func ExampleWithName() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	registry, err := ringdht.NewRegistry()
	check(err)
	defer registry.Close()
	addr, err := registry.Listen(ctx, "127.0.0.1:0")
	check(err)

	ann := ringdht.NewNode(ringdht.WithName("ann"))
	defer ann.Close()
	letters := ann.Service("letters")
	bob := ringdht.NewNode(ringdht.WithName("bob"), ringdht.WithTags(map[string]string{"floor": "2"}))
	defer bob.Close()
	bob.Service("letters").Handle(func(_ context.Context, m ringdht.Message) { fmt.Printf("bob reads: %s\n", m.Body) })
	check(ann.Join(ctx, addr.String()))
	check(bob.Join(ctx, addr.String()))
	_, err = registry.Setup(ctx, 0)
	check(err)
	check(ann.Ready(ctx)) // she knows the other members now

	// One member has a name at a time.
	err = ringdht.NewNode(ringdht.WithName("bob")).Join(ctx, addr.String())
	fmt.Println("a second bob:", errors.Is(err, ringdht.ErrTaken))

	m, err := ann.Lookup(ctx, "bob")
	check(err)
	fmt.Println(m.Name, "is on floor", m.Tags["floor"], "and handles", m.Services)
	check(letters.Send(ctx, m.ID, []byte("dear bob")))
	check(ann.Flush(ctx)) // without it, what is on its way when bob leaves comes back to ann

	// Watch begins with the members that are present, the node itself first.
	for e := range ann.Watch(ctx) {
		fmt.Println(e.Name, e.Change)
		if e.Change.Over() {
			break
		}
		if e.Name == "bob" {
			check(bob.Leave(ctx)) // a loop may wait: it holds up nothing
		}
	}
	// Output:
	// a second bob: true
	// bob is on floor 2 and handles [letters]
	// bob reads: dear bob
	// ann present
	// bob present
	// bob left
}

// Step 7 of the course: a ring across machines. runRegistry, runPrinter and runSender are three
// programs, one for each machine. They start in any order.
//
// Here the hosts of a network in memory stand for the machines. On real ones a main calls one of the
// three, without options, with the name and port of the registry's machine for "registry:12345".
// Nodes dial each other: [WithListen] gives a node a port that the firewall lets through, and
// [WithAdvertise] the address at which others reach it behind NAT. docs/deploy.md has the rest.
//
// Try: let a main call the function that os.Args[1] names, and run it in three terminals. Then end
// the registry and start it again: the printer comes back to it, and a sender finds the printer.
// Next: a secure ring, [WithSecurity].
func ExampleNode_Serve() {
	// A program takes its context from signal.NotifyContext, and so ends in order.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	network := memnet.New(1)
	machine := func(name string) ringdht.Option { return ringdht.WithTransport(network.Host(name)) }
	start := func(run func(ctx context.Context) error) (stop func()) {
		ctx, end := context.WithCancel(ctx)
		var program sync.WaitGroup
		program.Go(func() { check(run(ctx)) })
		return func() { end(); program.Wait() }
	}

	stopPrinter := start(func(ctx context.Context) error {
		return runPrinter(ctx, "registry:12345", machine("cellar"))
	})
	stopRegistry := start(func(ctx context.Context) error {
		return runRegistry(ctx, ":12345", machine("registry"), ringdht.WithGrace(time.Millisecond))
	})
	check(runSender(ctx, "registry:12345", "hello from upstairs", machine("attic")))
	stopPrinter() // before its registry: it takes leave there
	stopRegistry()
	fmt.Println("all have left")
	// Output:
	// printing: hello from upstairs
	// all have left
}

// runRegistry keeps a registry until ctx ends. The first node that joins makes the ring live. A new
// registry admits no node for six seconds, since it may stand in for an earlier one, whose nodes
// come back first. The example begins with WithGrace in the place of this wait: it has none before.
func runRegistry(ctx context.Context, addr string, opts ...ringdht.RegistryOption) error {
	registry, err := ringdht.NewRegistry(append(opts, ringdht.WithSelfSetup(0))...)
	if err != nil {
		return err
	}
	defer registry.Close()
	if _, err := registry.Listen(ctx, addr); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// runPrinter serves until ctx ends, and leaves in order within ten seconds. WithRetry waits for
// the registry.
func runPrinter(ctx context.Context, registry string, opts ...ringdht.NodeOption) error {
	n := ringdht.NewNode(append(opts, ringdht.WithName("printer"), ringdht.WithRetry())...)
	n.Service("lines").Handle(func(_ context.Context, m ringdht.Message) { fmt.Printf("printing: %s\n", m.Body) })
	return n.Serve(ctx, 10*time.Second, registry)
}

// runSender waits for the printer, and ends when the printer has handled the line.
func runSender(ctx context.Context, registry, line string, opts ...ringdht.NodeOption) error {
	n := ringdht.NewNode(append(opts, ringdht.WithRetry())...)
	defer n.Close()
	lines := n.Service("lines")
	if err := n.Join(ctx, registry); err != nil {
		return err
	}
	for e := range lines.Watch(ctx) { // the members that handle this service
		if e.Name == "printer" && !e.Change.Over() {
			if err := lines.Send(ctx, e.ID, []byte(line)); err != nil {
				return err
			}
			break
		}
	}
	return n.Leave(ctx)
}

// Step 8 of the course: a secure ring. All connections are encrypted, and nodes join by a line that
// has the registry's address, the pin of the ring's key, and a secret.
//
// Try: change one letter of the secret: Join notices before it dials. SECURITY.md says what all this
// protects. This was the last step. The folder examples has programs to go on from, such as chat.
func ExampleWithSecurity() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "ringdht-example-*") // a folder to keep and back up: it has the ring's key
	check(err)
	defer os.RemoveAll(dir)

	registry, err := ringdht.NewRegistry(ringdht.WithSecurity(0), ringdht.WithState(dir))
	check(err)
	defer registry.Close()
	addr, err := registry.Listen(ctx, "127.0.0.1:0")
	check(err)
	line, err := registry.JoinLine(addr.String()) // secret: pass it on in a file
	check(err)

	stranger, member := ringdht.NewNode(), ringdht.NewNode()
	defer member.Close()
	err = stranger.Join(ctx, addr.String())
	fmt.Println("refused without the line:", errors.Is(err, ringdht.ErrHandshake))
	check(member.Join(ctx, line))
	fmt.Println("admitted with it")

	// Expel ends a node for good. It knows the secret, so that ends too: others need a new line.
	check(registry.Expel(ctx, member.ID()))
	<-member.Disconnected()
	fmt.Println("expelled:", errors.Is(member.ReadyNow(), ringdht.ErrNotMember))
	err = stranger.Join(ctx, line)
	fmt.Println("refused with the old line:", errors.Is(err, ringdht.ErrHandshake))
	line, err = registry.JoinLine(addr.String())
	check(err)
	check(stranger.Join(ctx, line))
	check(stranger.Close())
	fmt.Println("admitted with the new one")
	// Output:
	// refused without the line: true
	// admitted with it
	// expelled: true
	// refused with the old line: true
	// admitted with the new one
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

// check ends the program if there is an error.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
