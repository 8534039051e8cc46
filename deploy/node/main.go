// Node is a service with one node of a ring: what a program of your own needs to be deployed. Its
// service is to send each message back to its source.
//
//	cd deploy && go run ./node -registry localhost:12345 -http localhost:8081
//
// It serves /healthz, /readyz and /metrics, relays for others, and takes part in traffic runs.
// Settings are flags or variables (-h lists them). It waits for a registry that is away. At SIGTERM
// it leaves the ring: it is not ready from then on, and ends when its messages are delivered.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/x/ringdht"
	ringprom "github.com/x/ringdht/contrib/prometheus"
	"github.com/x/ringdht/deploy/internal/service"
	"github.com/x/ringdht/status"
)

func main() {
	os.Exit(service.Exit("node", os.Stderr, run(service.Context(), os.Args[1:], os.Stdout, os.Stderr)))
}

// config is what the flags of a node say.
type config struct {
	*service.Settings
	registry, listen, advertise string
	entrance                    string // the registry's address, or a join line
	codec                       *ringdht.Codec
	leave                       time.Duration
}

func parse(args []string, stdout io.Writer) (*config, error) {
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	c := &config{Settings: service.Flags(flags, "localhost:8081"), codec: service.CodecFlag(flags)}
	flags.StringVar(&c.registry, "registry", "", "the registry's `host:port`")
	join := flags.String("join", "", "in place of -registry, the join `line` of a secure ring; @file for one in a file")
	flags.StringVar(&c.listen, "listen", ":0", "`host:port` to listen on for other nodes; port 0 is a free one")
	flags.StringVar(&c.advertise, "advertise", "", "`host:port` at which the registry and other nodes dial this one; by default the address from which it reaches the registry")
	flags.DurationVar(&c.leave, "leave", 20*time.Second, "how long to wait for the delivery of messages at the end")
	if err := c.Parse(flags, args, stdout, "Node is a service with one node of a ring."); err != nil {
		return nil, err
	}
	if strings.Contains(c.registry, "/") { // it would be logged, with its secret
		return nil, service.Usagef("-registry (RINGDHT_REGISTRY): expected host:port; a join line belongs in -join (RINGDHT_JOIN)")
	}
	c.entrance = c.registry
	if *join != "" {
		line, err := joinLine(*join)
		if err != nil {
			return nil, err
		}
		_, rest, _ := strings.Cut(line, ":")
		c.registry, _, _ = strings.Cut(rest, "/") // what is shown has no secret
		c.entrance = line
	}
	if c.entrance == "" {
		return nil, service.Usagef("-registry (RINGDHT_REGISTRY): expected the registry's host:port; or -join (RINGDHT_JOIN), a join line")
	}
	return c, nil
}

// joinLine returns a join line, from a file if the text is @ and its name.
func joinLine(text string) (string, error) {
	name, file := strings.CutPrefix(text, "@")
	if !file {
		return text, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return "", service.Usagef("-join (RINGDHT_JOIN): %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", service.Usagef("-join (RINGDHT_JOIN): %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line), nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	c, err := parse(args, stdout)
	if err != nil {
		return err
	}
	log, web := c.Logger(stderr), service.NewServer()
	defer web.Close()
	httpAt, err := web.Start(ctx, c.HTTP)
	if err != nil {
		return err
	}
	opts := []ringdht.NodeOption{
		ringdht.WithRing(c.Ring), ringdht.WithCodec(*c.codec), ringdht.WithListen(c.listen), ringdht.WithTraffic(), ringdht.WithRetry(), ringdht.WithLogger(log),
	}
	if c.advertise != "" {
		opts = append(opts, ringdht.WithAdvertise(c.advertise))
	}
	log.Info("node joins", "version", service.VersionText(), "ring", c.Ring, "registry", c.registry, "http", httpAt)
	node := ringdht.NewNode(opts...)
	echo := node.Service("echo")
	echo.Handle(func(ctx context.Context, m ringdht.Message) {
		if err := echo.Send(ctx, m.Source, m.Body); err != nil {
			log.Warn("no answer", "to", m.Source, "err", err)
		}
	})
	echo.OnUndelivered(func(u status.Undelivered) {
		log.Warn("messages not known to be delivered", "sink", u.Sink, "messages", u.Messages, "not_handled", u.NotHandled, "err", u.Err)
	})
	err = node.Join(ctx, c.entrance)
	switch {
	case err != nil && ctx.Err() != nil:
		log.Info("node ends before it has joined", "err", err)
		return nil
	case err != nil: // it will not help to try again: the registry refuses this node
		return err
	}
	web.Collect(ringprom.NewNodeCollector(node))
	web.Ready(node.ReadyNow)
	log.Info("node has joined", "id", node.ID(), "addr", node.Peer().Addr)

	if err := expelled(ctx, node); err != nil {
		node.Close()
		return err
	}
	log.Info("node leaves", "id", node.ID())
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.leave)
	defer cancel()
	err = node.Leave(leave)
	if _, undelivered := errors.AsType[*status.UndeliveredError](err); err != nil && (undelivered || !errors.Is(err, ringdht.ErrRegistryLost)) {
		return fmt.Errorf("leaving: %w", err)
	}
	log.Info("node has left", "id", node.ID())
	return nil
}

// expelled waits until ctx ends, and returns nil, or until the operator has expelled the node.
func expelled(ctx context.Context, node *ringdht.Node) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-node.Disconnected():
		}
		if err := node.WaitConnected(ctx); err != nil && (ctx.Err() == nil || errors.Is(err, ringdht.ErrNotMember)) {
			return err
		}
	}
}
