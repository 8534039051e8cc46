// Counter has a counter for each key, at one of its owners. While owners join, leave and are restarted, the
// counters move between them, and each addition is in its counter once.
//
//	go run ./examples/registry -setup auto 12345
//	go run ./examples/counter -registry localhost:12345             # an owner; more of them in other terminals
//	go run ./examples/counter -registry localhost:12345 -load 1000  # a client: 1,000 additions a second
//
// In a secure ring give the join line in the place of localhost:12345, or in the variable RINGDHT_JOIN.
// README.md has a rolling restart of ten owners, and what becomes of a counter whose owner is killed.
package main

import (
	"cmp"
	"context"
	"flag"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/keys"
)

const (
	Add   = keys.Method[int64, int64, int64]("add") // adds to a counter, and answers with its value
	grace = 10 * time.Second                        // to leave in order
)

var (
	registry = flag.String("registry", "", "the registry's `host:port`, or a join line")
	name     = flag.String("name", "", "the `name` of this node, which no other one may have")
	rate     = flag.Int("load", 0, "be a client: make so many `additions` a second, and compare the counters with the answers")
	length   = flag.Duration("time", time.Hour, "how long a client adds, unless it is interrupted before")
	number   = flag.Int("keys", 1000, "how many `counters` a client adds to")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("counter: ")
	slog.SetLogLoggerLevel(slog.LevelWarn)
	flag.Parse()
	addr := cmp.Or(*registry, os.Getenv("RINGDHT_JOIN"))
	if addr == "" || flag.NArg() > 0 || *rate < 0 || *number < 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends it at once
	n := ringdht.NewNode(ringdht.WithName(*name), ringdht.WithRetry(), ringdht.WithLogger(slog.Default()))
	counters := keys.New[int64](n, "counters")
	live := own
	if *rate > 0 {
		live = load
	}
	if err := live(ctx, n, counters, addr); err != nil {
		log.Fatal(err)
	}
}

// own is an owner's life.
func own(ctx context.Context, n *ringdht.Node, counters *keys.Space[int64], addr string) error {
	Add.Handle(counters, func(_ context.Context, _ string, counter *int64, by int64) (int64, error) {
		*counter += by
		return *counter, nil
	})
	context.AfterFunc(ctx, func() { log.Print("Interrupted: it gives its counters away, and leaves.") })
	go func() {
		if n.Ready(ctx) == nil {
			log.Printf("Node %v is ready.", n.Self())
		}
	}()
	return n.Serve(ctx, grace, addr)
}
