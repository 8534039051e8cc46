// Registry admits messaging nodes to a ring, sets the overlay up, and measures its traffic.
//
//	go run ./examples/registry [flags] port
//	go run ./examples/registry [flags] host:port
//
// It listens at that address, and prints it, with the commands that join nodes from this machine
// and from others. A port alone means all interfaces, and port 0 a free port. Then it reads
// commands, one a line, typed or from a pipe. At the end of the input the registry goes on
// serving until it is interrupted (SIGINT or SIGTERM).
//
// On a terminal Ctrl-C ends the command that runs, or else the program; the first time it says
// how many nodes are connected.
//
// # Flags
//
//	-bits n          the ring has 2^n IDs, 16 by default
//	-codec name      msgpack (default) or json; the same for the whole ring
//	-control         let the page set the ring up and start runs
//	-csv             print summaries as CSV, and all else on stderr, see below
//	-grace time      admit no new nodes for so long after the start, so that members of a
//	                 ring whose registry died can come back first
//	-http addr       serve a live page of the ring at host:port, with /healthz and /readyz
//	-json            results as JSON, see below
//	-lease time      how long a node may be silent before it is declared dead, 3s by
//	                 default
//	-log level       the lowest level to log to stderr: debug, info, warn (default) or error
//	-max-payload b   the longest message of the ring in bytes, 65536 by default
//	-ring name       the name of the ring; nodes of another ring are refused
//	-secure          encrypt the ring, and admit only nodes that have its join line, see
//	                 below
//	-setup k         set the overlay up without a command, with k entries, "k best", or
//	                 auto for as many as are useful; see below
//	-state dir       keep the ring's identity in a directory, and the key of a secure ring,
//	                 so that a restarted registry knows its ring from the first moment
//	-strict          end with status 1 at the first command that fails, and at the first
//	                 run whose verdict is not exact
//	-validity time   how long nodes of a secure ring stay admitted while the registry is
//	                 away, 24h by default
//	-version         print the version, and end
//	-wait n          wait for n nodes before -setup
//
// With -setup and -wait n the overlay is set up when n nodes are registered. A script's commands
// come after that. With -setup alone the ring sets itself up: the first node makes it live, and
// all others take part when they join.
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
//	start n [payload] [-csv]      lets every node send n messages, of 4 bytes or of payload
//	                              bytes, each to a node drawn at random, and prints the
//	                              summary when all have arrived
//	stop                          stops the run under way, and prints its account
//	summary [-csv]                prints the last summary again
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
//	keys [service]                lists the services with keys, or the owners of one and its
//	                              moves
//	owner service key             names the node that owns a key of a service
//	watch [seconds]               shows a live view of throughput, nodes, run and events
//	watch start n [payload]       shows the same during a run
//	help [command]                lists the commands, or explains one
//	quit (exit)                   ends the registry
//
// Names can be abbreviated, part by part, if only one command matches: list-m-n and l-m-n are
// list-messaging-nodes. A mistyped name gets a suggestion. A node is given by its ID; by its
// address, without the host or the port if that is enough, such as :36259; or by the first
// digits of its ID and a *. Digits alone are a complete ID.
//
// A command ends before the next is read, but for start: on a terminal it runs in the background,
// and list, nodes, setup, events, watch, stop and others work meanwhile. Commands that need the
// end of the run, such as summary and start, wait for it. In a script, start n & does the same.
// Stop, or Ctrl-C, ends a run: the nodes stop sending at once, and what they have sent is
// delivered and counted. The next run is exact.
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
// # A secure ring
//
// With -secure all connections are encrypted, and each end proves what it is. The registry prints a
// command that joins: it has the ring's address, the pin of its key, and a secret. Keep it secret.
// These commands come with it:
//
//	token new [-once] [-for time] [-id n]  makes a token, and prints the command that joins by
//	                              it: once, for some time, with a certain ID
//	token list                    lists the tokens, and the nodes that have joined by each
//	token show n                  prints the command that joins by a token
//	token rotate                  ends all tokens, and makes a new one
//	expel node                    removes a node for good
//	rotate-key                    gives the ring a new key
//	list-refused (refused)        lists the sources whose connections were refused, and why
//
// Nodes that have joined stay when tokens end, and come back without one. The registry renews their
// admissions. With -state another registry can take the ring over: it needs the directory.
//
// # Width
//
// A listing fits the terminal. If it has no room it leaves out columns, and names them; it cuts
// IDs of many digits to a start that only one node has, and a *; and sentences wrap. A summary
// keeps all figures: with large ones it has two tables, for packets and for sums of values.
// Without a terminal a listing has all columns, and a summary fits 80.
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
//	stop                  the command or run that was "stopped"
//	trace                 from, to, and the hops
//	wait                  the number of nodes that are "registered"
//	route                 an array of nodes with their entries
//	nodes, show-node      an array of the status of each node with its rates; of one node
//	events, runs          an array of each
//	degraded              two arrays: "pairs", and "sidelined", the nodes that routes lead around
//	keys                  an array of services; of one service, an object with its arcs
//	owner                 the point of the key, its owner, the term, and the next owner or null
//	watch                 a line for each second, with the events since the line before
//	token, expel, rotate-key  the command that joins from now on, as "join"; an array of tokens
//	refused               an array of sources, with cause and times
//	help                  the commands with their examples
//
// A command that fails prints {"error": "..."}. All else, such as progress and notices, then
// goes to stderr. Incarnations, and IDs in rings of more than 53 bits, need a reader that
// keeps 64-bit integers.
//
// With -csv stdout is one table of CSV: a header, and for each start and summary a row for each
// node and one with the sums, whose node is Sum. Numbers have no separators. The run's number, its
// hops, time and verdict are in each of its rows. start and summary also take -csv themselves, and
// then print the header each time.
//
// # A session
//
//	$ go run ./examples/registry 12345
//	Registry listening on [::]:12345
//	To join from this machine:  go run ./examples/messenger localhost:12345
//	To join from another one:   go run ./examples/messenger 192.0.2.2:12345
//	This ring is open: any process that reaches its ports can join it, read it and forge
//	messages. -secure closes it.
//	> wait 5
//	5 nodes are registered.
//	> list-messaging-nodes
//	host        port     ID
//	127.0.0.1  34331  16452
//	127.0.0.1  46645  17991
//	127.0.0.1  35319  20563
//	127.0.0.1  40549  44559
//	127.0.0.1  35143  64197
//	> setup-overlay 2
//	epoch 1: 5 nodes with 2 entries, all 20 routes arrive, hops mean 1.500 and at
//	most 2 (20563 to 16452), each node relays 2 to 2 of them
//	Registry now ready to initiate tasks.
//	> start 25000
//	       packets   packets  packets  sum of values  sum of values
//	node      sent  received  relayed           sent       received
//	16452    25000     25068    12516   195602204242  -258578048572
//	17991    25000     24906    12463   -37331914611  -371917634533
//	20563    25000     25106    12586  -274178567957    46724957846
//	44559    25000     24984    12553  -293520803889   194616970204
//	64197    25000     24936    12576    83940300509    63664973349
//	Sum     125000    125000    62694  -325488781706  -325488781706
//	Verdict: exact
//	Hops: mean 1.502, maximum 2. Rate: 2799665 messages per second. Time: 0.045 s.
//	> trace 44559 64197
//	From 44559 to 64197:
//	            answered
//	hop     ID     after
//	  1  64197  0.248 ms
//	> quit
//
// # Exit status
//
// 0 after quit or an interrupt; 1 if the registry could not listen, or could not print (it
// reports that at once, and goes on), or if a command failed with -strict; 2 for wrong arguments.
// If its output is a pipe whose reader has closed it, the program ends by SIGPIPE.
package main

import (
	"context"
	"io"
	"os"

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
	var s settings
	if err := s.parse(args, stdout); err != nil {
		return err
	}
	screen := console.NewScreen(stdout, stderr, s.json || s.csv)
	defer func() { err = screen.Ended(err) }()
	r, err := ringdht.NewRegistry(append(s.options(), ringdht.WithLogger(console.Logger(screen, s.level)))...)
	if err != nil {
		return console.UsageError(console.Text(err))
	}
	defer r.Close()
	at, err := r.Listen(ctx, s.addr)
	if err != nil {
		return err
	}
	screen.Say("Registry listening on %s", at)
	if s.page.On() {
		if !s.secure { // a page without a login has no secrets
			s.page.Invite(joinCommand(s.ring, (*s.codec).Name()), at)
		}
		var secure *page.Secure
		if s.secure {
			secure = &page.Secure{State: s.state}
		}
		url, print, stop, err := s.page.Serve(ctx, r, secure)
		if err != nil {
			return err
		}
		defer stop()
		screen.Say("Page at %s", url)
		if print != "" {
			screen.Say("Its certificate is self-signed; the SHA-256 fingerprint is %s", print)
		}
	}
	o := &operator{registry: r, csv: s.csv}
	if err := o.invite(screen, at, &s); err != nil {
		return err
	}
	return o.run(ctx, screen, &s, stdin)
}
