// Messenger is a node of a ring. It sends and receives messages, and relays messages of
// other nodes.
//
//	go run ./examples/messenger [flags] host:port
//	go run ./examples/messenger [flags] rdht1:host:port/...
//
// It registers with the registry at that address, or with that of a join line, which the registry
// of a secure ring prints. It prints the number of nodes, its own ID,
// and its address with the port that it has chosen. If there is no registry yet it waits. Then it
// reads commands, one a line, typed or from a pipe, and prints messages as they arrive. It takes
// part in the traffic runs that the registry starts. At the end of the input it goes on until it
// is interrupted (SIGINT or SIGTERM), and then leaves the ring in good order.
//
// On a terminal Ctrl-C ends the command that runs, or else the program.
//
// # Flags
//
//	-advertise addr   host:port at which others reach this node, if it differs from where
//	                  the node connects from: behind NAT, or in a container
//	-codec name       msgpack (default) or json; the same for the whole ring
//	-http addr        serve /healthz and /readyz at host:port, or at a port of localhost
//	-id n             the ID that this node asks for; by default the registry draws one
//	-join line        a join line in place of the address: the line, @file, or - for the first
//	                  line of the input. RINGDHT_JOIN has it too. Other users of a machine
//	                  can see command lines
//	-json             results and events as JSON, see below
//	-listen addr      host:port to listen on for other nodes; a free port of all
//	                  interfaces by default
//	-log level        what to log to stderr: debug, info, warn or error (default)
//	-name name        the name of this node, which no other may have; it waits, as for a
//	                  registry, until the name is free
//	-ring name        the name of the ring to join
//	-strict           end with status 1 at the first command that fails
//	-tag key=value    tells all nodes something of this one; may be given again
//	-version          print the version, and end
//	-wait time        how long to wait for a registry that is not there yet, and how long
//	                  send and trace wait until the overlay is set up; 30s by default,
//	                  and 0 does not wait
//
// # Commands
//
//	print-counters-and-diagnostics (print)   shows the packets sent, received and relayed by
//	                                         this node, and the sums of values sent and
//	                                         received, of the latest run and of all; and
//	                                         the state of its links
//	exit-overlay (exit, quit)                leaves the ring and ends the program
//	send node text                           sends a text to a node
//	trace node                               shows the route to a node, hop by hop
//	wait [n]                                 waits until the overlay is set up and this
//	                                         node can send, and until it knows n nodes
//	table                                    shows this node's routing table
//	list-known-nodes (nodes)                 lists the nodes to which messages can be sent
//	watch [seconds]                          shows a live view of this node's throughput,
//	                                         links and buffers
//	help [command]                           lists the commands, or explains one
//
// Names can be abbreviated if only one command matches: p is print. A node is given by its
// name; by its ID; by the first digits of its ID and a *; or, if it is an entry of this node's table, by
// its address or a part of it such as :36259. On a terminal watch fills the screen until
// Enter or Ctrl-C, and then restores it.
//
// Messages can be sent when the overlay is set up, by setup-overlay at the registry; send and
// trace wait for that. If the registry is gone, the messenger says so and stays: messages do not
// pass through the registry.
//
// # Results for scripts
//
// With -json a command prints its result as one line of JSON on stdout. The flag comes after
// the name of the command or at the end of the line; for send, whose line ends in text, after
// the name. With the program's flag -json all commands do so, and events are lines of JSON
// on stdout, too. Events have a key "event", which results do not have: registered, message
// (with from, hops, and text, or bytes as base64 if it is not text), registry lost (with why
// if it refuses this node, or if this process did not run for a while), registry back, rejoined,
// expelled, left. A command that fails prints {"error": "..."}. Progress goes to stderr.
//
// # A session
//
//	$ go run ./examples/messenger localhost:12345
//	Registration request successful. The number of messaging nodes currently
//	constituting the overlay is (1)
//	This is node 20563 at 127.0.0.1:35319.
//	This ring is open: any process that reaches this node's port can send in any node's
//	name. A registry with -secure closes it.
//	Message from 16452 (1 hop): hello there from 16452
//	Message from 17991 (1 hop): hello there from 17991
//	Message from 44559 (2 hops): hello there from 44559
//	Message from 64197 (2 hops): hello there from 64197
//	> table
//	Node 20563, host 127.0.0.1, port 35319
//	entry     ID  host        port
//	    1  44559  127.0.0.1  40549
//	    2  64197  127.0.0.1  35143
//	> print
//	Node 20563 at 127.0.0.1:35319, registry at localhost:12345
//	Overlay: epoch 1, 2 routing table entries, 5 nodes in all
//	                                 run 1,            all
//	In traffic runs              the latest          1 run
//	  packets sent                    25000          25000
//	  packets received                25106          25106
//	  packets relayed                 12586          12586
//	  sum of values sent      -274178567957  -274178567957
//	  sum of values received    46724957846    46724957846
//	...
//	> exit-overlay
//	exited overlay
//
// # Exit status
//
// 0 after exit-overlay or an interrupt; 1 if the node could not join or was expelled, if messages are not
// known to be delivered when it ends, if a command failed with -strict, or if it could not print
// (it reports that at once, and goes on); 2 for wrong arguments. If its output is a pipe whose
// reader has closed it, the program ends by SIGPIPE, without leaving the ring.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/serve"
)

const manual = `
usage: messenger [flags] host:port
       messenger [flags] JOIN-LINE

Joins the ring of the registry at host:port, or the secure ring of a join line, as a node
that sends, receives and relays messages. It reads commands from its input, one a line; type help for the list. At the
end of the input it goes on until it is interrupted, and then leaves the ring.
`

// leaveTimeout bounds the leaving, which first waits for the delivery of messages. Only tests change it.
var leaveTimeout = 5 * time.Second

func main() {
	os.Exit(run(console.Context(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. It returns its exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	stderr, flush := console.Buffered(stderr)
	defer flush()
	return console.Exit("messenger", stderr, live(ctx, args, stdin, stdout, stderr))
}

// live joins the ring, and leaves it when the console has ended.
func live(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	var s settings
	if err := s.parse(args, stdin, stdout); err != nil {
		return err
	}
	m := &messenger{screen: console.NewScreen(stdout, stderr, s.json), entrance: s.registry, registry: s.registry.String(), json: s.json, wait: s.wait}
	defer func() { err = m.screen.Ended(err) }()
	ready, stopProbes, err := serve.Probes(ctx, *s.probes, m.screen)
	if err != nil {
		return err
	}
	defer stopProbes()
	if err := m.join(ctx, append(s.options(), ringdht.WithLogger(console.Logger(m.screen, s.level)))); err != nil {
		return err
	}
	ready.Set(m.node.ReadyNow)
	registered := m.event(eventRegistered)
	registered.Members = m.node.Status().Members
	m.report(registered, fmt.Sprintf(
		"Registration request successful. The number of messaging nodes currently constituting the overlay is (%d)\n"+
			"This is node %d%s at %s.", registered.Members, m.node.ID(), named(s.name), m.node.Peer().Addr))
	if !s.registry.Secure() && s.listensBeyondLoopback() {
		m.screen.Say("%s", openText)
	}

	running, expel := context.WithCancelCause(ctx)
	defer expel(nil)
	stop := m.watchRegistry(expel)
	c := m.console()
	c.Strict = s.strict
	err = c.Run(running, stdin)
	stop()
	if why := context.Cause(running); ctx.Err() == nil && running.Err() != nil {
		m.node.Close()
		return why
	}
	return errors.Join(err, m.leave(context.WithoutCancel(ctx)))
}
