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
//	-csv          print the summary as CSV, and all else on stderr
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
//	-version      print the version, and end
//
// # A session
//
//	$ go run ./examples/ring
//	Registry listening on 127.0.0.1:37853
//	epoch 1: 10 nodes with 4 entries, all 90 routes arrive, hops mean 1.667 and at
//	most 3 (36471 to 5513), each node relays 6 to 6 of them
//	       packets   packets  packets  sum of values  sum of values
//	node      sent  received  relayed           sent       received
//	5513     25000     25008    16731   212198771055   239222914883
//	8174     25000     25060    16805    13606895640   197914876326
//	29801    25000     24968    16616   153745833015    10699315370
//	36471    25000     25050    16695    18258280866  -337183952274
//	44308    25000     25139    16518   -16213033168  -249371585595
//	45805    25000     25012    16453     9850945105   147589000722
//	50773    25000     25077    16766  -129506782191    93975671461
//	56251    25000     24898    16495  -389653716706    23958901543
//	60901    25000     24890    16770   165579570093   -65526664309
//	64505    25000     24898    16738    34678308464    11266594046
//	Sum     250000    250000   166587    72545072173    72545072173
//	Verdict: exact
//	Hops: mean 1.666, maximum 3. Rate: 2866204 messages per second. Time: 0.087 s.
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
	screen := console.NewScreen(stdout, stderr, j.json || j.csv)
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
	json, csv         bool
	page              *page.Flags
}

func (j *job) parse(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("ring", flag.ContinueOnError)
	j.codec, j.level = console.CodecFlag(flags), console.LogFlag(flags, slog.LevelError) // at warn, nodes would log that the others close
	flags.BoolVar(&j.json, "json", false, "print the audit and the summary as JSON, a line each, and all else on stderr")
	flags.BoolVar(&j.csv, "csv", false, "print the summary as CSV, and all else on stderr")
	console.VersionFlag(flags)
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
	case j.json && j.csv:
		return console.Usagef("give -json or -csv, not both")
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
		url, _, stop, err := j.page.Serve(ctx, r, nil)
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
			n := ringdht.NewNode(ringdht.WithListen("127.0.0.1:0"), ringdht.WithTraffic(), codec, log)
			if err := n.Join(ctx, at.String()); err != nil {
				return err
			}
			nodes = append(nodes, n)
		}
		return nil
	}, func() string { return fmt.Sprintf("joining: %d of %d nodes are registered", len(r.Members()), j.nodes) })
	if err != nil {
		return err
	}
	result := &console.Call{JSON: j.json, Screen: screen}
	if err := j.setup(ctx, r, result); err != nil {
		return err
	}
	if screen.Ended(nil) != nil {
		return nil
	}

	s, err := r.RunTraffic(ctx, status.Traffic{Messages: j.messages, Payload: j.payload, Progress: func(sent, total int64) {
		screen.Progress("sent %d of %d messages (%d %%)", sent, total, 100*sent/total)
	}})
	screen.Done()
	if err != nil {
		return err
	}
	if j.csv {
		screen.Print(report.SummaryHeader + report.SummaryCSV(s))
	} else {
		result.Show(report.NewSummaryDocument(s), report.Summary(s, screen.Columns()))
	}
	if j.page.On() {
		screen.Say("The ring and its page stay up until they are interrupted (Ctrl-C).")
		<-ctx.Done()
	}
	if !s.Exact() {
		return errNotExact
	}
	return nil
}

// setup sets the overlay up, and prints the audit of its tables.
func (j *job) setup(ctx context.Context, r *ringdht.Registry, result *console.Call) error {
	screen := result.Screen
	var audit status.Audit
	err := screen.While(func() (err error) {
		audit, err = r.Setup(ctx, j.entries)
		return err
	}, func() string { return fmt.Sprintf("setting up: waiting for the links of %d nodes", j.nodes) })
	if err != nil {
		return err
	}
	if j.csv {
		screen.Say("%s", audit)
	} else {
		result.Tell(audit, audit.String())
	}
	if j.entries > audit.Entries {
		screen.Say("The tables have %d entries instead of %d: a ring of %d nodes has no use for more.", audit.Entries, j.entries, j.nodes)
	}
	return nil
}
