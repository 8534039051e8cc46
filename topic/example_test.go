package topic_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/topic"
)

// Step 4 of the course of package [ringdht]: topics. What one node publishes comes to each
// subscription to its subject, once and in order. Nodes in between pass it on: a publisher sends to
// a few, however many want it.
//
// A newcomer gets the latest message first, since this Topic has [WithRetained].
//
// Try: publish 1,000 messages before the three readings. The subscription holds 256 (see [WithBuffer]),
// and Missed of the first one that is left says how many it lost. Next: faults, in package
// [github.com/x/ringdht/memnet].
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	registry, err := ringdht.NewRegistry()
	check(err)
	defer registry.Close()
	addr, err := registry.Listen(ctx, "127.0.0.1:0")
	check(err)

	type reading struct {
		Celsius float64
	}
	join := func(name string) (*ringdht.Node, *topic.Topic[reading]) {
		n := ringdht.NewNode(ringdht.WithName(name))
		readings := topic.New[reading](n, "weather", topic.WithRetained()) // before Join, as all services
		check(n.Join(ctx, addr.String()))
		return n, readings
	}
	station, measured := join("station")
	defer station.Close()
	ann, hers := join("ann")
	defer ann.Close()
	_, err = registry.Setup(ctx, 0)
	check(err)

	// When Subscribe returns the subscription stands: no later message is missed.
	roof, err := hers.Subscribe(ctx, "roof")
	check(err)
	for _, c := range []float64{20.5, 21, 21.5} {
		check(measured.Publish(ctx, "roof", reading{c}))
	}
	check(measured.Publish(ctx, "cellar", reading{12})) // ann has no subscription to it
	for m := range roof.All(ctx) {
		fmt.Println("ann:", m.Subject, m.Value.Celsius)
		if m.Value.Celsius == 21.5 {
			break
		}
	}

	bob, his := join("bob") // later
	defer bob.Close()
	roof, err = his.Subscribe(ctx, "roof")
	check(err)
	for m := range roof.All(ctx) {
		fmt.Println("bob:", m.Subject, m.Value.Celsius, "from the station:", m.Source == station.ID())
		break
	}
	// Output:
	// ann: roof 20.5
	// ann: roof 21
	// ann: roof 21.5
	// bob: roof 21.5 from the station: true
}

// A configuration: the latest value is there for each program that comes later, and a slow one skips
// to the newest.
func ExampleWithRetained() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	registry, err := ringdht.NewRegistry()
	check(err)
	defer registry.Close()
	addr, err := registry.Listen(ctx, "127.0.0.1:0")
	check(err)

	office := ringdht.NewNode()
	defer office.Close()
	settings := topic.New[int](office, "settings", topic.WithRetained(), topic.WithBuffer(1))
	check(office.Join(ctx, addr.String()))
	_, err = registry.Setup(ctx, 0)
	check(err)
	for limit := range 3 {
		check(settings.Publish(ctx, "limit", limit))
	}

	late := ringdht.NewNode()
	defer late.Close()
	settings = topic.New[int](late, "settings", topic.WithRetained(), topic.WithBuffer(1))
	check(late.Join(ctx, addr.String()))
	sub, err := settings.Subscribe(ctx, "limit")
	check(err)
	for m := range sub.All(ctx) {
		fmt.Println("the limit is", m.Value)
		break
	}
	// Output: the limit is 2
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
