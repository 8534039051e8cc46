package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/meter"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/status"
)

// operator executes the commands. Those that build a ring and send through it are here, those
// that show it in listings.go, and those about traffic runs in runs.go.
type operator struct {
	registry *ringdht.Registry
	meter    meter.Meter
	join     func(token ...uint32) (string, error) // the command that joins a secure ring; nil in an open one
	csv      bool                                  // stdout has summaries only, as CSV
	header   sync.Once
}

func (o *operator) console(screen *console.Screen, json bool) *console.Console {
	return &console.Console{
		Screen: screen,
		JSON:   json,
		Name:   "registry",
		Nodes:  func() console.Nodes { return o.registry.Members() },
		Named:  o.named,
		Known:  o.known,
		Elsewhere: console.Elsewhere{Program: "a messenger", Names: []string{
			"print-counters-and-diagnostics", "send", "table", "list-known-nodes", "exit-overlay"}},
		Commands: slices.Concat(o.commands(), o.traffic(), o.listings(), o.keyCommands(), o.security(), []console.Command{quit}),
		Notes:    "At the end of its input the registry goes on serving until it is interrupted (Ctrl-C).\n",
		Ended:    func() { screen.Say("End of input: the registry goes on serving until it is interrupted (Ctrl-C).") },
		Losing:   o.losing,
	}
}

// named finds the node that has a name.
func (o *operator) named(name string) (ringdht.ID, bool) {
	m, err := o.registry.Lookup(name)
	return m.ID, err == nil
}

// known lists the names of nodes.
func (o *operator) known() (names []string) {
	for _, m := range o.registry.Snapshot().Members {
		if m.Name != "" {
			names = append(names, m.Name)
		}
	}
	return names
}

// losing says what ends with the registry.
func (o *operator) losing() string {
	n := len(o.registry.Members())
	if n == 0 {
		return ""
	}
	return nodesAre(n) + " connected. Ctrl-C again, or quit, ends the registry; the nodes stay."
}

// show prints a result: on stderr if stdout has summaries only.
func (o *operator) show(c *console.Call, document any, text string) {
	if o.csv && !c.JSON {
		c.Screen.Say("%s", text)
		return
	}
	c.Show(document, text)
}

// tell is show for sentences.
func (o *operator) tell(c *console.Call, document any, text string) {
	if o.csv && !c.JSON {
		c.Screen.Say("%s", text)
		return
	}
	c.Tell(document, text)
}

var quit = console.Command{
	Name: "quit", Also: []string{"exit"}, Ends: true, Beside: true,
	Run:      func(context.Context, *console.Call) error { return console.ErrQuit },
	Help:     "ends the registry",
	More:     "The nodes stay, and messages still flow between them. A new registry at the same address takes them over.",
	Examples: []string{"quit"},
}

func (o *operator) commands() []console.Command {
	return []console.Command{
		{Name: "list-messaging-nodes", Short: "list", Beside: true, Run: o.list,
			Help:     "lists the registered nodes: host, port and ID, and what they say of themselves",
			More:     "They are in order of their IDs; list-nodes shows their state.",
			Examples: []string{"list-messaging-nodes", "list", "list -json"}},
		{Name: "setup-overlay", Short: "setup", Args: "[k] [classic|best]", Max: 2, Beside: true, Run: o.setup,
			Help: "gives every node a routing table with k entries, by default log2 of the nodes; with best, for the fewest hops",
			More: "It waits for all links and prints an audit of the tables: whether all routes arrive, and in how many hops. " +
				"Classic entries are 1, 2, 4 and so on positions ahead. It can be repeated at any time, also while messages flow.",
			Examples: []string{"setup-overlay", "setup 3", "setup 4 best", "setup best"}},
		{Name: "trace", Args: "a b", Min: 2, Max: 2, Beside: true, Run: o.trace,
			Help: "shows the route from node a to node b, hop by hop",
			More: "Give a node by its name, its ID, its address, or a part of the last two that only one node has: 42* for the start of an ID, " +
				":8080 for a port, or a host. Digits alone are a complete ID.",
			Examples: []string{"trace {a} {b}", "tr {b} {a}"}},
		{Name: "wait", Args: "n", Min: 1, Max: 1, Run: o.wait,
			Help:     "waits until n nodes are registered",
			More:     "It is for scripts that start nodes and then set them up: wait 10, setup 3, start 25000.",
			Examples: []string{"wait 2"}},
	}
}

func (o *operator) setup(ctx context.Context, c *console.Call) error {
	k, plan, err := layout(c.Args)
	if err != nil {
		return err
	}
	var audit status.Audit
	err = c.Screen.While(func() (err error) {
		audit, err = o.registry.Setup(ctx, k, plan)
		return err
	}, func() string {
		return "setting up: waiting for the links of " + console.Count(len(o.registry.Members()), "node")
	})
	if err != nil {
		if len(o.registry.Members()) == 0 && !errors.Is(err, ringdht.ErrRebuilding) {
			return errors.New("no nodes are registered: start messengers with this registry's address first")
		}
		return err
	}
	o.tell(c, audit, audit.String())
	if plan != ringdht.Classic {
		c.Screen.Say("The entries of a node are the nodes %s positions ahead of it.", strings.Trim(fmt.Sprint(audit.Offsets), "[]"))
	}
	switch nodes := console.Count(audit.Nodes, "node"); {
	case k <= audit.Entries:
	case plan == ringdht.Classic || audit.Entries == audit.Nodes-1:
		c.Screen.Say("The tables have %d entries instead of %d: a ring of %s has no use for more.", audit.Entries, k, nodes)
	default:
		c.Screen.Say("The tables have %d entries instead of %d: that is the largest table.", audit.Entries, k)
	}
	c.Screen.Say("%s", readyText)
	return nil
}

// readyText is what the registry says after a set-up.
const readyText = "Registry now ready to initiate tasks."

// layout parses the arguments of setup-overlay: the size of tables, the plan, or both.
func layout(args []string) (k int, plan ringdht.Plan, err error) {
	if n := len(args); n > 0 && (args[n-1] == "best" || args[n-1] == "classic") {
		if args[n-1] == "best" {
			plan = ringdht.FewestHops
		}
		args = args[:n-1]
	}
	switch len(args) {
	case 0:
		return 0, plan, nil
	case 1:
		k, err = console.Number("k", args[0], 1)
		return k, plan, err
	}
	return 0, 0, console.Usagef("expected a size and a plan, classic or best, not %q", args[1])
}

func (o *operator) trace(ctx context.Context, c *console.Call) error {
	from, err := c.Node(0)
	if err != nil {
		return err
	}
	to, err := c.Node(1)
	if err != nil {
		return err
	}
	var hops []status.Hop
	err = c.Screen.While(func() (err error) {
		hops, err = o.registry.Trace(ctx, from, to)
		return err
	}, func() string { return "tracing: waiting for answers" })
	if err != nil {
		return err
	}
	o.show(c, report.TraceDocument{From: from, To: to, Hops: hops}, report.Trace(from, to, hops, c.Screen.Columns()))
	return nil
}

// registered is the document of wait.
type registered struct {
	Registered int `json:"registered"`
}

func (o *operator) wait(ctx context.Context, c *console.Call) error {
	n, err := console.Number("n", c.Args[0], 1)
	if err != nil {
		return err
	}
	have := func() int { return len(o.registry.Members()) }
	err = c.Screen.While(func() error { return o.registry.WaitMembers(ctx, n) }, func() string {
		return fmt.Sprintf("waiting: %d of %s registered", have(), nodesAre(n))
	})
	if err != nil {
		return err
	}
	members := have()
	o.tell(c, registered{members}, nodesAre(members)+" registered.")
	return nil
}

func nodesAre(n int) string {
	if n == 1 {
		return "1 node is"
	}
	return fmt.Sprintf("%d nodes are", n)
}
