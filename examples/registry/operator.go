package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/meter"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/status"
)

// operator executes the commands that a person types. Those that build a ring and send
// through it are here, those that show it in listings.go.
type operator struct {
	registry *ringdht.Registry
	meter    meter.Meter
}

func (o *operator) console(screen *console.Screen, json bool) *console.Console {
	return &console.Console{
		Screen:   screen,
		JSON:     json,
		Name:     "registry",
		Nodes:    func() console.Nodes { return o.registry.Members() },
		Commands: slices.Concat(o.commands(), o.listings(), []console.Command{quit}),
		Notes:    "At the end of its input the registry goes on serving until it is interrupted (Ctrl-C).\n",
		Ended:    func() { screen.Say("End of input: the registry goes on serving until it is interrupted (Ctrl-C).") },
	}
}

var quit = console.Command{
	Name:     "quit",
	Run:      func(context.Context, *console.Call) error { return console.ErrQuit },
	Help:     "ends the registry",
	More:     "The nodes stay, and messages still flow between them. A new registry at the same address takes them over.",
	Examples: []string{"quit"},
}

func (o *operator) commands() []console.Command {
	return []console.Command{
		{Name: "list-messaging-nodes", Short: "list", Run: o.list,
			Help:     "lists the registered nodes: host, port and ID",
			More:     "They are in order of their IDs; list-nodes shows their state.",
			Examples: []string{"list-messaging-nodes", "list", "list -json"}},
		{Name: "setup-overlay", Short: "setup", Args: "[k] [classic|best]", Max: 2, Run: o.setup,
			Help: "gives every node a routing table with k entries, by default log2 of the nodes; with best, for the fewest hops",
			More: "It waits for all links and prints an audit of the tables: whether all routes arrive, and in how many hops. " +
				"Classic entries are 1, 2, 4 and so on positions ahead. It can be repeated at any time, also while messages flow.",
			Examples: []string{"setup-overlay", "setup 3", "setup 4 best", "setup best"}},
		{Name: "start", Args: "n [payload bytes]", Min: 1, Max: 2, Run: o.start,
			Help: "lets every node send n messages and prints the summary",
			More: "Each message goes to a node drawn at random. It has 4 bytes, or as many as given. " +
				"The verdict is exact if every message arrived once with its value.",
			Examples: []string{"start 25000", "start 1000 2048"}},
		{Name: "summary", Run: o.summary,
			Help:     "prints the last summary again",
			More:     "It is that of the latest run that ended, with a line for each node; list-runs lists earlier runs.",
			Examples: []string{"summary", "summary -json"}},
		{Name: "trace", Args: "a b", Min: 2, Max: 2, Run: o.trace,
			Help: "shows the route from node a to node b, hop by hop",
			More: "Give a node by its ID, its address, or a part of them that only one node has: 42* for the start of an ID, " +
				":8080 for a port, or a host. Digits alone are a complete ID.",
			Examples: []string{"trace {a} {b}", "t {b} {a}"}},
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
		if len(o.registry.Members()) == 0 {
			return errors.New("no nodes are registered: start messengers with this registry's address first")
		}
		return err
	}
	c.Show(audit, audit.String())
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
	c.Screen.Say("Registry now ready to initiate tasks.")
	return nil
}

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

func (o *operator) start(ctx context.Context, c *console.Call) error {
	messages, err := console.Number("n", c.Args[0], 1)
	if err != nil {
		return err
	}
	payload := 0
	if len(c.Args) > 1 {
		if payload, err = console.Number("payload", c.Args[1], 4); err != nil {
			return err
		}
	}
	s, err := o.registry.RunTraffic(ctx, ringdht.Traffic{Messages: messages, Payload: payload, Progress: func(sent, total int64) {
		c.Screen.Progress("sent %d of %d messages (%d %%)", sent, total, 100*sent/total)
	}})
	c.Screen.Done()
	if err != nil {
		return err
	}
	c.Show(report.NewSummaryDocument(s), report.Summary(s))
	return nil
}

func (o *operator) summary(_ context.Context, c *console.Call) error {
	s := o.registry.Snapshot().Last
	if s == nil {
		return errors.New("there is no summary yet: start a run with start n")
	}
	c.Show(report.NewSummaryDocument(s), report.Summary(s))
	return nil
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
	c.Show(report.TraceDocument{From: from, To: to, Hops: hops}, report.Trace(from, to, hops))
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
	c.Show(registered{members}, nodesAre(members)+" registered.")
	return nil
}

func nodesAre(n int) string {
	if n == 1 {
		return "1 node is"
	}
	return fmt.Sprintf("%d nodes are", n)
}
