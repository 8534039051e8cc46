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

	// The sink's handler is called once for each message, in the order sent.
	sink, err := ringdht.Join(ctx, addr.String(), func(_ context.Context, m ringdht.Message) {
		fmt.Printf("received %q from node %d\n", m.Body, m.Source)
	})
	if err != nil {
		return err
	}
	defer sink.Close()
	source, err := ringdht.Join(ctx, addr.String(), nil) // a node that only sends and relays
	if err != nil {
		return err
	}
	defer source.Close()

	// Setup gives the nodes their routing tables. Ready waits until they are in use.
	if _, err := registry.Setup(ctx, 0); err != nil {
		return err
	}
	if err := source.Ready(ctx); err != nil {
		return err
	}

	// Send returns when the message is accepted, Flush when the handler has returned.
	if err := source.Send(ctx, sink.ID(), []byte("hello")); err != nil {
		return err
	}
	if err := source.Flush(ctx); err != nil {
		return err
	}
	fmt.Printf("node %d has handled it\n", sink.ID())
	return nil
}
