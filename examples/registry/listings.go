package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/examples/internal/watch"
)

// listings are the commands that look at the ring.
func (o *operator) listings() []console.Command {
	return []console.Command{
		{Name: "list-routing-tables", Short: "route", Run: o.route,
			Help:     "lists the routing table of each node",
			More:     "As they were handed out, the entries clockwise.",
			Examples: []string{"list-routing-tables", "route", "list-r-t -json"}},
		{Name: "list-nodes", Short: "nodes", Run: o.nodes,
			Help: "lists how the nodes do: state, messages, drops, queues",
			More: "The figures are those of the nodes' latest heartbeats. What is now is between the latest two; if the console " +
				"has not seen two of each, it waits for them, for 2.5 seconds at most. Addresses leave out what they have in common. " +
				"IDs of many digits are cut to a start that only one has, and end in * then.",
			Examples: []string{"list-nodes", "nodes -json"}},
		{Name: "show-node", Args: "node", Min: 1, Max: 1, Run: o.node,
			Help:     "shows all there is to know of a node: links, windows, counters",
			More:     "The node is given by its ID, its address, or a part of either of which there is one, see help trace.",
			Examples: []string{"show-node {a}", "show {b} -json"}},
		{Name: "list-degraded-pairs", Short: "degraded", Run: o.degraded,
			Help:     "lists the pairs of nodes that cannot reach each other directly",
			More:     "Messages between them go by way of others.",
			Examples: []string{"list-degraded-pairs", "degraded -json"}},
		{Name: "list-events", Short: "events", Args: "[n]", Max: 1, Run: o.events,
			Help:     "lists the latest n events, by default 20: joins, leaves, deaths, runs",
			More:     fmt.Sprintf("The registry remembers %d. Each has a number, one more than that before it.", ringdht.MaxEvents),
			Examples: []string{"list-events", "events 5", "events 500 -json"}},
		{Name: "list-runs", Short: "runs", Run: o.runs,
			Help:     "lists the traffic runs and their verdicts",
			More:     fmt.Sprintf("The latest %d, whoever started them. Messages are those of each node.", ringdht.MaxRuns),
			Examples: []string{"list-runs", "runs -json"}},
		{Name: "audit", Run: o.showAudit,
			Help:     "walks all routes through the routing tables, and says what it found",
			More:     "As setup-overlay does at its end. In a ring of more than some thousand nodes it walks those to a sample of the sinks.",
			Examples: []string{"audit", "audit -json"}},
		{Name: "watch", Args: "[seconds | start n [payload bytes]]", Max: 3, Run: o.watch,
			Help: "shows throughput, nodes, run and events as they change; watch start n does a run meanwhile",
			More: "On a terminal it fills the screen until Enter, q and Enter, Ctrl-C, or the seconds are over, and leaves it as it was; " +
				"a command that is typed is carried out after it. What is printed meanwhile appears then. " +
				"Elsewhere, and with -json, it prints a line for each second. " +
				"With start it lasts as long as the run, which goes on if the view is ended before, and prints the summary after it.",
			Examples: []string{"watch 2", "watch start 25000", "watch 2 -json"}},
	}
}

func (o *operator) list(_ context.Context, c *console.Call) error {
	members := o.registry.Members()
	text := report.Peers(members)
	if len(members) == 0 {
		text = "No nodes are registered.\n"
	}
	c.Show(members, text)
	return nil
}

func (o *operator) route(_ context.Context, c *console.Call) error {
	all := []report.RoutesDocument{}
	text := ""
	for self, table := range o.registry.Tables() {
		all = append(all, report.NewRoutesDocument(self, table))
		if text != "" {
			text += "\n"
		}
		text += report.Table(self, table)
	}
	if len(all) == 0 {
		return errors.New("there are no routing tables yet: hand them out with setup-overlay")
	}
	c.Show(all, text)
	return nil
}

// snapshot takes one, and lets the meter see it.
func (o *operator) snapshot() *ringdht.Snapshot {
	s := o.registry.Snapshot()
	o.meter.Take(s)
	return s
}

// measured is a snapshot with the rates of all nodes that are active, if they can be had
// soon. Rates take two heartbeats, which come a third of a lease apart.
func (o *operator) measured(ctx context.Context) *ringdht.Snapshot {
	const patience = 2500 * time.Millisecond
	s := o.snapshot()
	if !s.Live || s.Lease/3 > patience {
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(s.Lease / 12)
	defer ticker.Stop()
	for !o.ratesKnown(s) {
		select {
		case <-ticker.C:
			s = o.snapshot()
		case <-ctx.Done():
			return s
		}
	}
	return s
}

func (o *operator) ratesKnown(s *ringdht.Snapshot) bool {
	for i := range s.Members {
		if _, known := o.meter.Of(&s.Members[i]); !known && s.Members[i].State == ringdht.StateActive {
			return false
		}
	}
	return true
}

func (o *operator) nodes(ctx context.Context, c *console.Call) error {
	s := o.measured(ctx)
	all := make([]report.MemberDocument, len(s.Members))
	for i := range s.Members {
		all[i] = report.NewMemberDocument(s, i, &o.meter)
	}
	text := report.Members(s, &o.meter)
	if host := report.NamesIn(s).Host(); host != "" {
		text += "All are at " + host + ".\n"
	}
	if len(s.Members) == 0 {
		text = "No nodes are registered.\n"
	}
	c.Show(all, text)
	return nil
}

func (o *operator) node(ctx context.Context, c *console.Call) error {
	id, err := c.Node(0)
	if err != nil {
		return err
	}
	s := o.measured(ctx)
	for i := range s.Members {
		if s.Members[i].ID == id {
			c.Show(report.NewMemberDocument(s, i, &o.meter), report.Member(s, i, &o.meter))
			return nil
		}
	}
	return fmt.Errorf("no node has the ID %d: list-messaging-nodes lists those there are", id)
}

func (o *operator) degraded(_ context.Context, c *console.Call) error {
	pairs := o.registry.Degraded()
	text := report.Degraded(pairs)
	if len(pairs) == 0 {
		text = "All links are up.\n"
	}
	c.Show(pairs, text)
	return nil
}

func (o *operator) events(_ context.Context, c *console.Call) error {
	n := 20
	if len(c.Args) > 0 {
		var err error
		if n, err = console.Number("n", c.Args[0], 1); err != nil {
			return err
		}
	}
	s := o.snapshot()
	events := append([]ringdht.Event{}, s.Events[max(0, len(s.Events)-n):]...)
	text := report.Events(events, report.NamesIn(s))
	if len(events) == 0 {
		text = "Nothing has happened yet.\n"
	}
	c.Show(events, text)
	return nil
}

func (o *operator) runs(_ context.Context, c *console.Call) error {
	runs := append([]ringdht.RunResult{}, o.snapshot().Runs...)
	text := report.Runs(runs)
	if len(runs) == 0 {
		text = "There was no traffic run yet: start one with start n.\n"
	}
	c.Show(runs, text)
	return nil
}

func (o *operator) showAudit(_ context.Context, c *console.Call) error {
	audit := o.registry.Audit()
	if audit.Nodes == 0 {
		return errors.New("there are no routing tables yet: hand them out with setup-overlay")
	}
	c.Show(audit, audit.String())
	return nil
}

func (o *operator) watch(ctx context.Context, c *console.Call) error {
	ring := watch.NewRing(o.registry.Snapshot, &o.meter)
	if len(c.Args) == 0 {
		return c.Watch(ctx, ring, 0, nil)
	}
	if c.Means(c.Args[0], "start") {
		with := c.With(c.Args[1:])
		if len(with.Args) == 0 {
			return console.Usagef("expected how many messages to start with")
		}
		return c.Watch(ctx, ring, 0, func() error { return o.start(ctx, with) })
	}
	seconds, err := console.Number("seconds", c.Args[0], 1)
	if err == nil && len(c.Args) > 1 {
		err = console.Usagef("expected nothing behind the seconds")
	}
	if err != nil {
		return err
	}
	return c.Watch(ctx, ring, seconds, nil)
}
