// Chat sends each line typed to all other nodes of a ring, directly and not through a
// server. The first process also runs the registry; the others join it.
//
//	go run ./examples/chat -host localhost:7000
//	go run ./examples/chat -name ann localhost:7000
//
// Between machines, use the host's own address. The end of the input (Ctrl-D) leaves the ring.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/x/ringdht"
)

// line is one message. The node's codec carries it, msgpack by default.
type line struct{ Name, Text string }

func main() {
	host := flag.Bool("host", false, "run the registry too, at this address")
	name := flag.String("name", "host", "the `name` that the others see")
	flag.Parse()
	if err := run(context.Background(), *host, *name, flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, host bool, name, addr string) error {
	var registry *ringdht.Registry
	if host {
		var err error
		if registry, err = ringdht.NewRegistry(); err != nil {
			return err
		}
		defer registry.Close()
		if _, err := registry.Listen(ctx, addr); err != nil {
			return err
		}
	}
	node := ringdht.NewNode()
	defer node.Close()
	chat := node.Service("chat")
	chat.Handle(func(_ context.Context, m ringdht.Message) {
		var l line
		if err := m.Decode(&l); err != nil {
			log.Printf("message from node %d: %v", m.Source, err)
			return
		}
		fmt.Printf("%s: %s\n", l.Name, l.Text)
	})
	if err := node.Join(ctx, addr); err != nil {
		return err
	}
	if host { // one set-up makes the ring live; later nodes take part by themselves
		if _, err := registry.Setup(ctx, 0); err != nil {
			return err
		}
	}
	if err := node.Ready(ctx); err != nil {
		return err
	}
	fmt.Printf("joined as node %d\n", node.ID())

	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		for _, to := range node.Members() { // all others
			err := chat.SendValue(ctx, to.ID, line{name, in.Text()})
			if err != nil && !errors.Is(err, ringdht.ErrLeft) && !errors.Is(err, ringdht.ErrNoSuchNode) {
				return err
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return node.Leave(ctx) // after what was sent has been handled
}
