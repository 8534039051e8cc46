// Ring is the whole demonstration in one command. It starts a registry and ten nodes in one
// process, connects them over TCP on the loopback interface, lets each node send 25,000
// messages to nodes drawn at random, and accounts for every message.
//
//	go run ./examples/ring [flags]
//
// It prints the audit of the routing tables, and then the summary: a line for each node, the
// sums, and the verdict.
//
// # Flags
//
//	-codec name   how control messages are encoded, msgpack (default) or json
//	-control      let the page set the ring up and start runs
//	-entries k    entries of each routing table; 0, the default, means as many as keep
//	              every route within log2 of the number of nodes
//	-http addr    serve a live page of the ring at host:port, also after the run, until
//	              interrupted
//	-json         print the audit and the summary as JSON, a line each, and all else
//	              on stderr
//	-log level    what to log to stderr: debug, info, warn or error (default)
//	-messages n   messages that each node sends, 25000 by default
//	-nodes n      nodes in the ring, 10 by default
//	-payload b    bytes of each message, at least and by default 4
//
// # A session
//
//	$ go run ./examples/ring
//	Registry listening on 127.0.0.1:44307
//	epoch 1: 10 nodes with 4 entries, all 90 routes arrive, hops mean 1.667 and at most 3 (16680 to 2981), each node relays 6 to 6 of them
//	node   packets sent  packets received  packets relayed  sum of values sent  sum of values received
//	2981          25000             25171            16680        192856908551            -74126138647
//	5581          25000             24924            16476        177455265242             95885048339
//	13035         25000             25102            16545       -127124825991           -172505861194
//	16680         25000             24747            16606       -152917233392            151824761874
//	21691         25000             24845            16556       -106572925684            135705793622
//	27342         25000             24808            16714       -252723089875             24025609871
//	28695         25000             25087            16699        396183991817            236613684228
//	30587         25000             25188            16745         95973826184           -230298577500
//	46018         25000             25078            16668        129659012247            -24030551215
//	54217         25000             25050            16594       -269227095117            -59529935396
//	Sum          250000            250000           166283         83563833982             83563833982
//	Verdict: exact
//	Hops: mean 1.665, maximum 3. Rate: 3041525 messages per second. Time: 0.082 s.
//
// # Exit status
//
// 0 if every message was received with the value that was sent; 1 if not, or if the result
// could not be printed; 2 for wrong arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/page"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/status"
)

const manual = `
usage: ring [flags]

Runs a registry and its nodes in one process over TCP on the loopback interface,
lets each node send messages to nodes drawn at random, and accounts for all.
`

// bits is the size of the ID space.
const bits = 16

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. It returns its exit status. It reads no input.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	stderr, flush := console.Buffered(stderr)
	defer flush()
	j := &job{}
	err := j.parse(args, stdout)
	if err != nil {
		return console.Exit("ring", stderr, err)
	}
	screen := console.NewScreen(stdout, stderr, j.json)
	err = j.do(ctx, screen)
	if err != nil && ctx.Err() != nil && err != errNotExact {
		err = errors.New("interrupted")
	}
	return console.Exit("ring", stderr, screen.Ended(err))
}

var errNotExact = errors.New("not every message is accounted for")

// job holds the flags.
type job struct {
	codec             *ringdht.Codec
	level             slog.Leveler
	nodes, entries    int
	messages, payload int
	json              bool
	page              *page.Flags
}

func (j *job) parse(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("ring", flag.ContinueOnError)
	j.codec, j.level = console.CodecFlag(flags), console.LogFlag(flags, slog.LevelError) // at warn, nodes would log that the others close
	flags.BoolVar(&j.json, "json", false, "print the audit and the summary as JSON, a line each, and all else on stderr")
	j.page = page.AddFlags(flags)
	flags.IntVar(&j.nodes, "nodes", 10, "the `number` of nodes in the ring")
	flags.IntVar(&j.entries, "entries", 0, "the `number` of entries of each routing table (default 0, for log2 of the nodes)")
	flags.IntVar(&j.messages, "messages", 25000, "the `number` of messages that each node sends")
	flags.IntVar(&j.payload, "payload", 4, "the `bytes` of each message")
	if err := console.Parse(flags, args, stdout, manual); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return console.Usagef("expected flags only, got %q", flags.Arg(0))
	case j.nodes < 2 || j.nodes > 1<<bits:
		return console.Usagef("-nodes must be from 2 to %d, not %d", 1<<bits, j.nodes)
	case j.entries < 0:
		return console.Usagef("-entries must be at least 0, not %d", j.entries)
	case j.messages < 1:
		return console.Usagef("-messages must be at least 1, not %d", j.messages)
	case j.payload < 4:
		return console.Usagef("-payload must be at least 4, not %d", j.payload)
	}
	return j.page.Check()
}

func (j *job) do(ctx context.Context, screen *console.Screen) error {
	log := ringdht.WithLogger(console.Logger(screen, j.level))
	codec := ringdht.WithCodec(*j.codec)
	r, err := ringdht.NewRegistry(ringdht.WithBits(bits), codec, log)
	if err != nil {
		return err
	}
	defer r.Close()
	at, err := r.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	screen.Say("Registry listening on %s", at)
	if screen.Ended(nil) != nil {
		return nil // the results could not be printed
	}
	if j.page.On() {
		url, stop, err := j.page.Serve(ctx, r)
		if err != nil {
			return err
		}
		defer stop()
		screen.Say("Page at %s", url)
	}

	nodes := make([]*ringdht.Node, 0, j.nodes)
	defer func() {
		for _, n := range nodes {
			n.Close()
		}
	}()
	err = screen.While(func() error {
		for range j.nodes {
			n, err := ringdht.Join(ctx, at.String(), nil, ringdht.WithListen("127.0.0.1:0"), ringdht.WithTraffic(), codec, log)
			if err != nil {
				return err
			}
			nodes = append(nodes, n)
		}
		return nil
	}, func() string { return fmt.Sprintf("joining: %d of %d nodes are registered", len(r.Members()), j.nodes) })
	if err != nil {
		return err
	}

	var audit status.Audit
	err = screen.While(func() (err error) {
		audit, err = r.Setup(ctx, j.entries)
		return err
	}, func() string { return fmt.Sprintf("setting up: waiting for the links of %d nodes", j.nodes) })
	if err != nil {
		return err
	}
	result := &console.Call{JSON: j.json, Screen: screen}
	result.Show(audit, audit.String())
	if j.entries > audit.Entries {
		screen.Say("The tables have %d entries instead of %d: a ring of %d nodes has no use for more.", audit.Entries, j.entries, j.nodes)
	}
	if screen.Ended(nil) != nil {
		return nil
	}

	s, err := r.RunTraffic(ctx, ringdht.Traffic{Messages: j.messages, Payload: j.payload, Progress: func(sent, total int64) {
		screen.Progress("sent %d of %d messages (%d %%)", sent, total, 100*sent/total)
	}})
	screen.Done()
	if err != nil {
		return err
	}
	result.Show(report.NewSummaryDocument(s), report.Summary(s))
	if j.page.On() {
		screen.Say("The ring and its page stay up until they are interrupted (Ctrl-C).")
		<-ctx.Done()
	}
	if !s.Exact() {
		return errNotExact
	}
	return nil
}
