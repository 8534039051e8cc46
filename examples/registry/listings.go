package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/examples/internal/watch"
	"github.com/x/ringdht/status"
)

// listings returns the commands that show the ring.
func (o *operator) listings() []console.Command {
	return []console.Command{
		{Name: "list-routing-tables", Short: "route", Beside: true, Run: o.route,
			Help:     "lists the routing table of each node",
			More:     "The entries are in clockwise order.",
			Examples: []string{"list-routing-tables", "route", "list-r-t -json"}},
		{Name: "list-nodes", Short: "nodes", Beside: true, Run: o.nodes,
			Help: "lists the state of the nodes: messages, drops, queues",
			More: "The figures are from the nodes' latest heartbeats, and the rates (now) from the latest two. If the console " +
				"has not seen two from each node, it waits for them, for at most 2.5 seconds. Addresses leave out their common part. " +
				"A long ID is cut to a start that only one node has, and ends in *.",
			Examples: []string{"list-nodes", "nodes -json"}},
		{Name: "show-node", Args: "node", Min: 1, Max: 1, Beside: true, Run: o.node,
			Help:     "shows all details of a node: links, windows, counters",
			More:     "Give the node by its ID, its address, or a part of them that only one node has; see help trace.",
			Examples: []string{"show-node {a}", "show {b} -json"}},
		{Name: "list-degraded-pairs", Short: "degraded", Beside: true, Run: o.degraded,
			Help:     "lists the pairs of nodes that cannot reach each other directly",
			More:     "Messages between them take a detour over other nodes. Below are the nodes that routes lead around, since they pass nothing on.",
			Examples: []string{"list-degraded-pairs", "degraded -json"}},
		{Name: "list-events", Short: "events", Args: "[n]", Max: 1, Beside: true, Run: o.events,
			Help:     "lists the latest n events, by default 20: joins, leaves, deaths, runs",
			More:     fmt.Sprintf("The registry keeps the latest %d. Each has a number, one more than the event before.", status.MaxEvents),
			Examples: []string{"list-events", "events 5", "events 500 -json"}},
		{Name: "list-runs", Short: "runs", Beside: true, Run: o.runs,
			Help:     "lists the traffic runs and their verdicts",
			More:     fmt.Sprintf("It lists the latest %d, also those that the page started. Messages are counted per node.", status.MaxRuns),
			Examples: []string{"list-runs", "runs -json"}},
		{Name: "audit", Beside: true, Run: o.showAudit,
			Help:     "checks all routes through the routing tables",
			More:     "It prints what setup-overlay prints at its end. In a ring of several thousand nodes it checks the routes to a sample of the sinks.",
			Examples: []string{"audit", "audit -json"}},
		{Name: "watch", Args: "[seconds | start n [payload]]", Max: 3, Beside: true, Run: o.watch,
			Help: "shows throughput, nodes, run and events as they change; watch start n does a run meanwhile",
			More: "On a terminal it fills the screen until Enter, q and Enter, Ctrl-C, or the end of the seconds, and then restores it. " +
				"A command that is typed also ends it, and runs. Text that is printed meanwhile appears after it. " +
				"Without a terminal, and with -json, it prints a line each second. " +
				"With start it lasts as long as the run, and then prints the summary. If the view ends first, the run goes on.",
			Examples: []string{"watch 2", "watch start 25000", "watch 2 -json"}},
	}
}

func (o *operator) list(_ context.Context, c *console.Call) error {
	snapshot := o.registry.Snapshot()
	members := make([]status.MemberInfo, len(snapshot.Members))
	for i := range snapshot.Members {
		members[i] = report.InfoOf(&snapshot.Members[i])
	}
	text := report.Peers(members, c.Screen.Columns())
	if len(members) == 0 {
		text = "No nodes are registered.\n"
	}
	o.show(c, members, text)
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
		text += report.Table(self, table, c.Screen.Columns())
	}
	if len(all) == 0 {
		return errors.New("there are no routing tables yet: run setup-overlay first")
	}
	o.show(c, all, text)
	return nil
}

// snapshot takes a snapshot and passes it to the meter.
func (o *operator) snapshot() *status.Snapshot {
	s := o.registry.Snapshot()
	o.meter.Take(s)
	return s
}

// measured returns a snapshot when the rates of all active nodes are known, or after a while
// without them. A rate needs two heartbeats, which come a third of a lease apart.
func (o *operator) measured(ctx context.Context) *status.Snapshot {
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

func (o *operator) ratesKnown(s *status.Snapshot) bool {
	for i := range s.Members {
		if _, known := o.meter.Of(&s.Members[i]); !known && s.Members[i].State == status.StateActive {
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
	text := report.Members(s, &o.meter, c.Screen.Columns())
	if host := report.NamesIn(s).Host(); host != "" {
		text += "All are at " + host + ".\n"
	}
	if len(s.Members) == 0 {
		text = "No nodes are registered.\n"
	}
	o.show(c, all, text)
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
			o.show(c, report.NewMemberDocument(s, i, &o.meter), report.Member(s, i, &o.meter, c.Screen.Columns()))
			return nil
		}
	}
	return fmt.Errorf("no node has the ID %d: list-messaging-nodes lists the nodes", id)
}

func (o *operator) degraded(_ context.Context, c *console.Call) error {
	pairs, s := o.registry.Degraded(), o.registry.Snapshot()
	names, width := report.NamesIn(s), c.Screen.Columns()
	text := report.Degraded(pairs, names, width)
	if len(pairs) == 0 {
		text = "All links are up.\n"
	}
	if len(s.Sidelined) > 0 {
		text += "\nRoutes lead around these nodes:\n" + report.Sidelined(s.Sidelined, names, width)
	}
	o.show(c, report.NewDegradedDocument(pairs, s.Sidelined), text)
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
	events := append([]status.Event{}, s.Events[max(0, len(s.Events)-n):]...)
	text := report.Events(events, report.NamesIn(s), c.Screen.Columns())
	if len(events) == 0 {
		text = "Nothing has happened yet.\n"
	}
	o.show(c, events, text)
	return nil
}

func (o *operator) runs(_ context.Context, c *console.Call) error {
	s := o.snapshot()
	runs := append([]status.Run{}, s.Runs...)
	text := ""
	if len(runs) > 0 {
		text = report.Runs(runs, c.Screen.Columns())
	}
	if u := s.Running; u != nil {
		text += fmt.Sprintf("Run %d is under way: %d of %d messages are sent.\n", u.Number, u.Sent, u.Total)
	}
	if text == "" {
		text = "There has been no traffic run yet: start one with start n.\n"
	}
	o.show(c, runs, text)
	return nil
}

func (o *operator) showAudit(_ context.Context, c *console.Call) error {
	audit := o.registry.Audit()
	if audit.Nodes == 0 {
		return errors.New("there are no routing tables yet: run setup-overlay first")
	}
	o.tell(c, audit, audit.String())
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
			return console.Usagef("give the number of messages after start")
		}
		return c.Watch(ctx, ring, 0, func() error { return o.start(ctx, with) })
	}
	seconds, err := console.Number("seconds", c.Args[0], 1)
	if err == nil && len(c.Args) > 1 {
		err = console.Usagef("expected nothing after the seconds")
	}
	if err != nil {
		return err
	}
	return c.Watch(ctx, ring, seconds, nil)
}
