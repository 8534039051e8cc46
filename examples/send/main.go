// Send is the smallest program: one node sends a message to another, and waits until that
// one has handled it.
//
//	go run ./examples/send
//
// The registry and both nodes run in this process, over TCP on the loopback interface. In a
// real ring each node is a process of its own, and knows only the registry's address.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/x/ringdht"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	registry, err := ringdht.NewRegistry()
	if err != nil {
		return err
	}
	defer registry.Close()
	addr, err := registry.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}

	// Messages have the name of a service. Its handler is called once for each message, in the
	// order sent.
	sink := ringdht.NewNode()
	defer sink.Close()
	sink.Service("greetings").Handle(func(_ context.Context, m ringdht.Message) {
		fmt.Printf("received %q from node %d\n", m.Body, m.Source)
	})
	if err := sink.Join(ctx, addr.String()); err != nil {
		return err
	}
	source := ringdht.NewNode()
	defer source.Close()
	greetings := source.Service("greetings") // without a handler: here it only sends
	if err := source.Join(ctx, addr.String()); err != nil {
		return err
	}

	// Setup gives the nodes their routing tables.
	if _, err := registry.Setup(ctx, 0); err != nil {
		return err
	}

	// Send returns when the message is accepted, Flush when the handler has returned.
	if err := greetings.Send(ctx, sink.ID(), []byte("hello")); err != nil {
		return err
	}
	if err := source.Flush(ctx); err != nil {
		return err
	}
	fmt.Printf("node %d has handled it\n", sink.ID())
	return nil
}
