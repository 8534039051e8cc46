// Messenger is a node of a ring. It sends and receives messages, and relays messages of
// other nodes.
//
//	go run ./examples/messenger [flags] host:port
//
// It registers with the registry at that address, and prints the number of nodes, its own ID,
// and its address with the port that it has chosen. Then it reads commands, one a line,
// typed or from a pipe, and prints messages as they arrive. It takes part in the traffic
// runs that the registry starts. At the end of the input it goes on until it is
// interrupted (SIGINT or SIGTERM), and then leaves the ring in good order.
//
// # Flags
//
//	-advertise addr   host:port at which others reach this node, if it differs from where
//	                  the node connects from: behind NAT, or in a container
//	-codec name       msgpack (default) or json; the same for the whole ring
//	-http addr        serve /healthz and /readyz at host:port, or at a port of localhost
//	-json             results and events as JSON, see below
//	-listen addr      host:port to listen on for other nodes; a free port of all
//	                  interfaces by default
//	-log level        what to log to stderr: debug, info, warn or error (default)
//	-ring name        the name of the ring to join
//
// # Commands
//
//	print-counters-and-diagnostics (print)   shows what this node has sent, received and
//	                                         relayed, and the state of its links
//	exit-overlay (exit)                      leaves the ring and ends the program
//	send node text                           sends a text to a node
//	trace node                               shows the route to a node, hop by hop
//	table                                    shows this node's routing table
//	list-known-nodes (nodes)                 lists the nodes to which messages can be sent
//	watch [seconds]                          shows a live view of this node's throughput,
//	                                         links and buffers
//	help [command]                           lists the commands, or explains one
//
// Names can be abbreviated if only one command matches: p is print. A node is given by its
// ID; by the first digits of its ID and a *; or, if it is an entry of this node's table, by
// its address or a part of it such as :36259. On a terminal watch fills the screen until
// Enter or Ctrl-C, and then restores it.
//
// Messages can be sent when the overlay is set up, by setup-overlay at the registry. If the
// registry is gone, the messenger says so and stays: messages do not pass through the
// registry.
//
// # Results for scripts
//
// With -json a command prints its result as one line of JSON on stdout. The flag comes after
// the name of the command or at the end of the line; for send, whose line ends in text, after
// the name. With the program's flag -json all commands do so, and events are lines of JSON
// on stdout, too. Events have a key "event", which results do not have: registered, message
// (with from, hops, and text, or bytes as base64 if it is not text), registry lost (with why
// if it refuses this node), registry back, rejoined, left. A command that fails prints
// {"error": "..."}. Progress goes to stderr.
//
// # A session
//
//	$ go run ./examples/messenger localhost:12345
//	Registration request successful. The number of messaging nodes currently constituting the overlay is (3)
//	This is node 62769 at 127.0.0.1:43917.
//	Message from 10229 (1 hop): hello, ring
//	> table
//	Node 62769, host 127.0.0.1, port 43917
//	entry     ID  host        port
//	    1  10229  127.0.0.1  36259
//	    2  41266  127.0.0.1  43873
//	> send 10229 hello back
//	Sent to 10229.
//	> exit
//	exited overlay
//
// # Exit status
//
// 0 after exit-overlay or an interrupt; 1 if the node could not join, if messages are not
// known to be delivered when it ends, or if it could not print (it reports that at once, and
// goes on); 2 for wrong arguments. If its output is a pipe whose reader has closed it, the
// program ends by SIGPIPE, without leaving the ring.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/serve"
)

const manual = `
usage: messenger [flags] host:port

Joins the ring of the registry at host:port, as a node that sends, receives and relays
messages. It reads commands from its input, one a line; type help for the list. At the
end of the input it goes on until it is interrupted, and then leaves the ring.
`

// leaveTimeout bounds the leaving, which first waits for the delivery of messages.
const leaveTimeout = 5 * time.Second

func main() {
	os.Exit(run(console.Context(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. It returns its exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	stderr, flush := console.Buffered(stderr)
	defer flush()
	return console.Exit("messenger", stderr, join(ctx, args, stdin, stdout, stderr))
}

// join joins the ring, and leaves it when the console has ended.
func join(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("messenger", flag.ContinueOnError)
	advertise := flags.String("advertise", "", "`host:port` at which others reach this node, if it differs from where the node connects from")
	asJSON := flags.Bool("json", false, "print results and events as JSON, a line each, and all else on stderr")
	listen := flags.String("listen", ":0", "`host:port` to listen on for other nodes")
	ring := flags.String("ring", "ring", "the `name` of the ring to join")
	probes := serve.Flag(flags, "/healthz and /readyz")
	// watchRegistry reports a lost registry; a warning would repeat it.
	codec, level := console.CodecFlag(flags), console.LogFlag(flags, slog.LevelError)
	if err := console.Parse(flags, args, stdout, manual); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return console.Usagef("expected one argument, the host:port of the registry, got %d", flags.NArg())
	}
	addr, err := console.Address(flags.Arg(0), "localhost")
	if err != nil {
		return err
	}

	m := &messenger{screen: console.NewScreen(stdout, stderr, *asJSON), registry: addr, json: *asJSON}
	defer func() { err = m.screen.Ended(err) }()
	opts := []ringdht.NodeOption{
		ringdht.WithTraffic(), ringdht.WithCodec(*codec), ringdht.WithRing(*ring), ringdht.WithListen(*listen),
		ringdht.WithLogger(console.Logger(m.screen, level)),
	}
	if *advertise != "" {
		opts = append(opts, ringdht.WithAdvertise(*advertise))
	}
	ready, stopProbes, err := serve.Probes(ctx, *probes, m.screen)
	if err != nil {
		return err
	}
	defer stopProbes()
	m.node, err = ringdht.Join(ctx, addr, m.receive, opts...)
	switch {
	case err != nil && ctx.Err() != nil: // err tells which call the interrupt ended, which does not help
		return fmt.Errorf("interrupted while joining the registry at %s", addr)
	case err != nil:
		return err
	}
	ready.Set(m.node.ReadyNow)
	registered := m.event(eventRegistered)
	registered.Members = m.node.Status().Members
	m.report(registered, fmt.Sprintf(
		"Registration request successful. The number of messaging nodes currently constituting the overlay is (%d)\n"+
			"This is node %d at %s.", registered.Members, m.node.ID(), m.node.Peer().Addr))

	stop := m.watchRegistry()
	m.console().Run(ctx, stdin)
	stop()
	return m.leave(context.WithoutCancel(ctx))
}
