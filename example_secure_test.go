package ringdht_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
)

// An encrypted ring, which nodes join with a line that has its address, the pin of its key, and a
// secret.
func ExampleWithSecurity() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	network := memnet.New(1)                          // leave WithTransport out for TCP
	dir, err := os.MkdirTemp("", "ringdht-example-*") // a folder to keep and back up: it has the ring's key
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	registry, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")), ringdht.WithSecurity(0), ringdht.WithState(dir))
	if err != nil {
		log.Fatal(err)
	}
	defer registry.Close()
	if _, err := registry.Listen(ctx, "registry:1"); err != nil {
		log.Fatal(err)
	}
	line, err := registry.JoinLine("registry:1") // secret: pass it on in a file
	if err != nil {
		log.Fatal(err)
	}

	join := func(host, at string) (*ringdht.Node, error) {
		n := ringdht.NewNode(ringdht.WithTransport(network.Host(host)))
		return n, n.Join(ctx, at)
	}
	_, err = join("stranger", "registry:1")
	fmt.Println("without the line:", errors.Is(err, ringdht.ErrHandshake))

	n, err := join("a", line)
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	if err := registry.Expel(ctx, n.ID()); err != nil {
		log.Fatal(err)
	}
	<-n.Disconnected()
	fmt.Println("expelled:", errors.Is(n.ReadyNow(), ringdht.ErrNotMember))
	_, err = join("b", line) // the node that was expelled knows the secret, so it has ended
	fmt.Println("with the line of before:", errors.Is(err, ringdht.ErrHandshake))
	// Output:
	// without the line: true
	// expelled: true
	// with the line of before: true
}
