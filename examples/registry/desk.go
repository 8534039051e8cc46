package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/report"
)

// desk carries out the commands.
type desk struct {
	registry *ringdht.Registry
	screen   *console.Screen
	json     bool
	last     *ringdht.Summary // of the latest run, if any
}

func (d *desk) console() *console.Console {
	c := &console.Console{
		Screen: d.screen,
		Commands: []console.Command{
			{Name: "list-messaging-nodes", Short: "list", Run: d.list,
				Help: "lists the registered nodes: host, port and ID"},
			{Name: "setup-overlay", Short: "setup", Args: "[k] [classic|best]", Max: 2, Run: d.setup,
				Help: "gives every node a routing table with k entries, by default log2 of the nodes, for the fewest hops if best"},
			{Name: "list-routing-tables", Short: "route", Run: d.route,
				Help: "lists the routing table of each node"},
			{Name: "start", Args: "n [payload bytes]", Min: 1, Max: 2, Run: d.start,
				Help: "lets every node send n messages and prints the summary"},
			{Name: "summary", Run: d.summary,
				Help: "prints the last summary again"},
			{Name: "trace", Args: "a b", Min: 2, Max: 2, Run: d.trace,
				Help: "shows the way from node a to node b, given by ID"},
			{Name: "list-degraded-pairs", Short: "degraded", Run: d.degraded,
				Help: "lists the pairs of nodes that cannot reach each other directly"},
			{Name: "wait", Args: "n", Min: 1, Max: 1, Run: d.wait,
				Help: "waits until n nodes are registered"},
			{Name: "quit", Run: func(context.Context, []string) error { return console.ErrQuit },
				Help: "ends the registry"},
		},
		Notes: "An example: wait 10, setup 3, start 25000.\nAt the end of its input the registry serves on until it is interrupted (Ctrl-C).\n",
		Ended: func() { d.screen.Say("End of input: serving until interrupted.") },
	}
	if d.json {
		c.Notes += "Results are JSON, one line for each command; one that fails prints {\"error\": \"...\"}.\n"
		c.Failed = func(err error) { d.print(failure{text(err)}) }
	} else {
		c.Failed = func(err error) { d.screen.Complain("%s", text(err)) }
	}
	return c
}

// show prints a result as JSON or as text.
func (d *desk) show(result any, text string) {
	if d.json {
		d.print(result)
	} else {
		d.screen.Print(text)
	}
}

func (d *desk) print(document any) {
	b, err := json.Marshal(document)
	if err != nil {
		panic(err) // no document holds what JSON cannot
	}
	d.screen.Print(string(b))
}

func (d *desk) list(context.Context, []string) error {
	members := d.registry.Members()
	text := report.Peers(members)
	if len(members) == 0 {
		text = "No nodes are registered.\n"
	}
	d.show(members, text)
	return nil
}

func (d *desk) setup(ctx context.Context, args []string) error {
	k, plan, err := layout(args)
	if err != nil {
		return err
	}
	var audit ringdht.Audit
	err = d.screen.While(func() (err error) {
		audit, err = d.registry.Setup(ctx, k, ringdht.WithPlan(plan))
		return err
	}, func() string {
		return "setting up: waiting for the links of " + console.Count(len(d.registry.Members()), "node")
	})
	if err != nil {
		return err
	}
	d.show(audit, audit.String())
	if plan != ringdht.Classic {
		d.screen.Say("The entries of a node are the nodes %s positions ahead of it.", strings.Trim(fmt.Sprint(audit.Offsets), "[]"))
	}
	switch nodes := console.Count(audit.Nodes, "node"); {
	case k <= audit.Entries:
	case plan == ringdht.Classic || audit.Entries == audit.Nodes-1:
		d.screen.Say("k was cut from %d to %d: a ring of %s has no use for more.", k, audit.Entries, nodes)
	default:
		d.screen.Say("k was cut from %d to %d, the largest table there is.", k, audit.Entries)
	}
	d.screen.Say("Registry now ready to initiate tasks.")
	return nil
}

// layout reads what tables are asked for: their size, or the plan, or both.
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

func (d *desk) degraded(context.Context, []string) error {
	pairs := d.registry.Degraded()
	text := ""
	for _, p := range pairs {
		text += fmt.Sprintf("%v cannot reach %v: %s\n", p.From, p.To, p.Why)
	}
	if len(pairs) == 0 {
		text = "All links are up.\n"
	}
	d.show(pairs, text)
	return nil
}

func (d *desk) route(context.Context, []string) error {
	all := []routes{}
	text := ""
	for self, table := range d.registry.Tables() {
		all = append(all, routes{self, slices.Collect(table.Entries())})
		if text != "" {
			text += "\n"
		}
		text += report.Table(self, table)
	}
	if len(all) == 0 {
		return errors.New("there are no routing tables yet: hand them out with setup-overlay")
	}
	d.show(all, text)
	return nil
}

func (d *desk) start(ctx context.Context, args []string) error {
	messages, err := console.Number("n", args[0], 1)
	if err != nil {
		return err
	}
	payload := 0
	if len(args) > 1 {
		if payload, err = console.Number("payload", args[1], 4); err != nil {
			return err
		}
	}
	s, err := d.registry.Run(ctx, ringdht.Traffic{Messages: messages, Payload: payload, Progress: func(sent, total int64) {
		d.screen.Progress("sent %d of %d messages (%d %%)", sent, total, 100*sent/total)
	}})
	d.screen.Done()
	if err != nil {
		return err
	}
	d.last = s
	return d.summary(ctx, nil)
}

func (d *desk) summary(context.Context, []string) error {
	if d.last == nil {
		return errors.New("there is no summary yet: start a run with start n")
	}
	d.show(newAccount(d.last), report.Summary(d.last))
	return nil
}

func (d *desk) trace(ctx context.Context, args []string) error {
	from, err := console.ID(args[0])
	if err != nil {
		return err
	}
	to, err := console.ID(args[1])
	if err != nil {
		return err
	}
	var hops []ringdht.Hop
	err = d.screen.While(func() (err error) {
		hops, err = d.registry.Trace(ctx, from, to)
		return err
	}, func() string { return "tracing: waiting for answers" })
	if err != nil {
		return err
	}
	d.show(trace{from, to, hops}, report.Trace(from, to, hops))
	return nil
}

func (d *desk) wait(ctx context.Context, args []string) error {
	n, err := console.Number("n", args[0], 1)
	if err != nil {
		return err
	}
	have := func() int { return len(d.registry.Members()) }
	err = d.screen.While(func() error { return d.registry.WaitMembers(ctx, n) }, func() string {
		return fmt.Sprintf("waiting: %d of %s registered", have(), nodesAre(n))
	})
	if err != nil {
		return err
	}
	members := have()
	d.show(registered{members}, nodesAre(members)+" registered.")
	return nil
}

func nodesAre(n int) string {
	if n == 1 {
		return "1 node is"
	}
	return fmt.Sprintf("%d nodes are", n)
}
