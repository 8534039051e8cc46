// Kv is a key-value store in memory: each value is at three nodes, one in each of three zones. Start nodes
// in each zone, with -zone. README.md has what to type, what is promised, and why it holds.
//
// The exit status of a client is 1 if its request was not done, and 3 if it was perhaps done.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/kv/store"
	"github.com/x/ringdht/keys"
)

var zone = flag.Int("zone", -1, "own keys in this `zone`, 0 to 2; without it, do one request")

func main() {
	log.SetFlags(0)
	log.SetPrefix("kv: ")
	flag.Usage = func() {
		log.Print("usage: kv -zone 0|1|2 host:port; kv host:port get KEY | put KEY VALUE | swap KEY OLD NEW")
	}
	flag.Parse()
	r, ok := parse(flag.Args())
	if owns := *zone >= 0 && *zone <= 2 && flag.NArg() == 1; !owns && !(ok && *zone == -1) {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, r); errors.Is(err, keys.ErrUnknown) {
		log.Print(err)
		os.Exit(3)
	} else if err != nil {
		log.Fatal(err)
	}
}

// parse returns the request of a client.
func parse(args []string) (r store.Request, ok bool) {
	switch {
	case len(args) == 3 && args[1] == "get":
		return store.Request{Kind: store.Get}, true
	case len(args) == 4 && args[1] == "put":
		return store.Request{Kind: store.Put, New: args[3]}, true
	case len(args) == 5 && args[1] == "swap":
		return store.Request{Kind: store.Swap, Old: args[3], New: args[4]}, true
	}
	return r, false
}

func run(ctx context.Context, r store.Request) error {
	n := ringdht.NewNode(ringdht.WithRetry())
	s := store.New(n, *zone)
	if *zone >= 0 {
		go func() {
			if n.Ready(ctx) == nil {
				log.Printf("Node %v owns keys in zone %d.", n.Self(), *zone)
				s.Guard(ctx, func(here, lack int) { log.Printf("%d keys are here. %d are perhaps not in all zones.", here, lack) })
			}
		}()
		return n.Serve(ctx, 10*time.Second, flag.Arg(0)) // after an interrupt it gives its keys away
	}
	if err := n.Join(ctx, flag.Arg(0)); err != nil {
		return err
	}
	a, err := s.Do(ctx, flag.Arg(2), r)
	if err == nil && !a.Done {
		err = fmt.Errorf("not done: the value is %q", a.Value)
	} else if err == nil && r.Kind == store.Get {
		fmt.Println(a.Value)
	}
	return errors.Join(err, n.Leave(ctx))
}
