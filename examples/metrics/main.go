// Metrics publishes what a node counts, with the standard library only: as JSON under
// /debug/vars (expvar), and as log lines (log/slog).
//
//	go run ./examples/metrics
//	curl -s http://localhost:8123/debug/vars
//
// For Prometheus see contrib/prometheus, and for a live page of a ring the package
// dashboard.
package main

import (
	"context"
	"expvar"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/x/ringdht"
)

func main() {
	addr := flag.String("http", "localhost:8123", "serve /debug/vars at this `address`")
	flag.Parse()
	if err := run(context.Background(), *addr); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string) error {
	registry, err := ringdht.NewRegistry()
	if err != nil {
		return err
	}
	defer registry.Close()
	at, err := registry.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	source, sink := ringdht.NewNode(), ringdht.NewNode()
	defer source.Close()
	defer sink.Close()
	ticks := source.Service("ticks")
	sink.Service("ticks").Handle(func(context.Context, ringdht.Message) {})
	for _, n := range []*ringdht.Node{source, sink} {
		if err := n.Join(ctx, at.String()); err != nil {
			return err
		}
	}
	if _, err := registry.Setup(ctx, 0); err != nil {
		return err
	}

	// Status reads the counters when they are asked for, so publishing costs nothing else.
	expvar.Publish("ring", expvar.Func(func() any { return registry.Snapshot().Total }))
	expvar.Publish("node", expvar.Func(func() any { return source.Status() }))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go http.Serve(l, nil) // expvar has put itself at /debug/vars
	fmt.Printf("metrics at http://%s/debug/vars\n", l.Addr())

	for tick := time.NewTicker(time.Second); ; <-tick.C {
		if err := ticks.Send(ctx, sink.ID(), []byte("tick")); err != nil {
			return err
		}
		if err := source.Flush(ctx); err != nil {
			return err
		}
		c := source.Status().Counters
		slog.Info("node", "id", source.ID(), "sent", c.Sent, "relayed", c.Relayed, "queued", c.Queued,
			"delivered_by_sink", sink.Status().Counters.Delivered)
	}
}
