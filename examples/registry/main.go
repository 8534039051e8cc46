// Registry admits messaging nodes to a ring, sets the overlay up, and measures its traffic.
//
//	go run ./examples/registry [flags] port
//	go run ./examples/registry [flags] host:port
//
// It listens at that address, and prints it. A port alone means all interfaces, and port 0 a
// free port. Then it reads commands, one a line, typed or from a pipe. A command ends before
// the next is read. At the end of the input the registry goes on serving until it is
// interrupted (SIGINT or SIGTERM). An interrupt also ends a command that runs.
//
// # Flags
//
//	-bits n       the ring has 2^n IDs, 16 by default
//	-codec name   msgpack (default) or json; the same for the whole ring
//	-control      let the page set the ring up and start runs
//	-grace time   admit no new nodes for so long after the start, so that members of a
//	              ring whose registry died can come back first
//	-http addr    serve a live page of the ring at host:port, with /healthz and /readyz
//	-json         results as JSON, see below
//	-lease time   how long a node may be silent before it is declared dead, 3s by
//	              default
//	-log level    the lowest level to log to stderr: debug, info, warn (default) or error
//	-ring name    the name of the ring; nodes of another ring are refused
//
// # Commands
//
//	list-messaging-nodes (list)   lists the registered nodes: host, port and ID
//	setup-overlay [k] [plan]      (setup) gives every node a routing table with k
//	                              entries, by default as many as keep every route
//	                              within log2 of the number of nodes, and waits for
//	                              all links. plan is classic, the default, for entries
//	                              1, 2, 4 and so on positions ahead, or best, for
//	                              entries that need the fewest hops
//	start n [payload bytes]       lets every node send n messages, each to a node drawn
//	                              at random, and prints the summary when all have arrived
//	summary                       prints the last summary again
//	trace a b                     shows the route from node a to node b, hop by hop
//	wait n                        waits until n nodes are registered
//	list-routing-tables (route)   lists the routing table of each node
//	list-nodes (nodes)            lists the state of the nodes: messages, drops, queues
//	show-node node                shows all details of a node: links, windows, counters
//	list-degraded-pairs (degraded)  lists the pairs of nodes that cannot reach each other
//	                              directly, so that their messages take a detour
//	list-events [n] (events)      lists the latest joins, leaves, deaths, set-ups and runs
//	list-runs (runs)              lists the traffic runs and their verdicts
//	audit                         checks all routes through the routing tables
//	watch [seconds]               shows a live view of throughput, nodes, run and events
//	watch start n [payload]       shows the same during a run
//	help [command]                lists the commands, or explains one
//	quit                          ends the registry
//
// Names can be abbreviated, part by part, if only one command matches: list-m-n and l-m-n are
// list-messaging-nodes. A mistyped name gets a suggestion. A node is given by its ID; by its
// address, without the host or the port if that is enough, such as :36259; or by the first
// digits of its ID and a *. Digits alone are a complete ID.
//
// On a terminal watch fills the screen until Enter or Ctrl-C, and then restores it. Without a
// terminal, and with -json, it prints a line each second.
//
// Nodes that join after the set-up take part at once, and nodes that die are routed around.
// The overlay can be set up again at any time, to change k, also while messages flow. A new
// registry in the place of one that died takes the ring over from its nodes, which reconnect
// by themselves. An error is printed in one line, and the next command is read. Empty lines
// and lines that start with # are skipped.
//
// # Results for scripts
//
// With -json a command prints its result as one line of JSON on stdout. The flag comes after
// the name of the command or at the end of the line. With the program's flag -json all
// commands do so:
//
//	list                  an array of nodes: id, addr
//	setup, audit          the audit of the tables
//	start, summary        the summary, with "exact", "verdict" and "rate" added
//	trace                 from, to, and the hops
//	wait                  the number of nodes that are "registered"
//	route                 an array of nodes with their entries
//	nodes, show-node      an array of the status of each node with its rates; of one node
//	degraded, events, runs  an array
//	watch                 a line for each second, with the events since the line before
//	help                  the commands with their examples
//
// A command that fails prints {"error": "..."}. All else, such as progress and notices, then
// goes to stderr. Incarnations, and IDs in rings of more than 53 bits, need a reader that
// keeps 64-bit integers.
//
// # A session
//
//	$ go run ./examples/registry 12345
//	Registry listening on [::]:12345
//	> wait 3
//	3 nodes are registered.
//	> list
//	host        port     ID
//	127.0.0.1  36259  10229
//	127.0.0.1  43873  41266
//	127.0.0.1  43917  62769
//	> setup-overlay 2
//	epoch 1: 3 nodes with 2 entries, all 6 routes arrive, hops mean 1.000 and at most 1 (62769 to 10229), each node relays 0 to 0 of them
//	Registry now ready to initiate tasks.
//	> start 25000
//	node   packets sent  packets received  packets relayed  sum of values sent  sum of values received
//	10229         25000             24937                0         59255987262            -82181941768
//	41266         25000             25010                0       -208004910188             88371523544
//	62769         25000             25053                0        -30358818855           -185297323557
//	Sum           75000             75000                0       -179107741781           -179107741781
//	Verdict: exact
//	Hops: mean 1.000, maximum 1. Rate: 3534266 messages per second. Time: 0.021 s.
//	> trace 10229 62769
//	From 10229 to 62769:
//	hop     ID  answered after
//	  1  62769        0.071 ms
//	> quit
//
// # Exit status
//
// 0 after quit or an interrupt; 1 if the registry could not listen, or could not print (it
// reports that at once, and goes on); 2 for wrong arguments. If its output is a pipe whose
// reader has closed it, the program ends by SIGPIPE.
package main

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/page"
)

const manual = `
usage: registry [flags] port
       registry [flags] host:port

Admits nodes to a ring, sets the overlay up, and measures its traffic. It reads
commands from its input, one a line; type help for the list. At the end of the input
it goes on serving until it is interrupted.
`

func main() {
	os.Exit(run(console.Context(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. It returns its exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	stderr, flush := console.Buffered(stderr)
	defer flush()
	return console.Exit("registry", stderr, serve(ctx, args, stdin, stdout, stderr))
}

func serve(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	bits := flags.Int("bits", 16, "the ring has 2^`n` IDs, n from 1 to 64")
	ring := flags.String("ring", "ring", "the `name` of the ring; nodes of another ring are refused")
	grace := flags.Duration("grace", 0, "admit no new nodes for so long after the start: members of a ring whose registry died come back first")
	lease := flags.Duration("lease", 3*time.Second, "how long a node may be silent before it is declared dead")
	asJSON := flags.Bool("json", false, "print results as JSON, one line for each command, and all else on stderr")
	live := page.AddFlags(flags)
	codec, level := console.CodecFlag(flags), console.LogFlag(flags, slog.LevelWarn)
	if err := console.Parse(flags, args, stdout, manual); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return console.Usagef("expected one argument, a port or host:port to listen on, got %d", flags.NArg())
	}
	if err := live.Check(); err != nil {
		return err
	}
	addr, err := console.Address(flags.Arg(0), "")
	if err != nil {
		return err
	}

	screen := console.NewScreen(stdout, stderr, *asJSON)
	defer func() { err = screen.Ended(err) }()
	r, err := ringdht.NewRegistry(ringdht.WithBits(*bits), ringdht.WithCodec(*codec), ringdht.WithRing(*ring),
		ringdht.WithGrace(*grace), ringdht.WithLease(*lease),
		ringdht.WithLogger(console.Logger(screen, level)))
	if err != nil {
		return console.UsageError(console.Text(err))
	}
	defer r.Close()
	at, err := r.Listen(ctx, addr)
	if err != nil {
		return err
	}
	screen.Say("Registry listening on %s", at)
	if live.On() {
		url, stop, err := live.Serve(ctx, r)
		if err != nil {
			return err
		}
		defer stop()
		screen.Say("Page at %s", url)
	}

	o := &operator{registry: r}
	o.console(screen, *asJSON).Run(ctx, stdin)
	return nil
}
