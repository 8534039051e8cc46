package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/meter"
	"github.com/x/ringdht/examples/internal/table"
	"github.com/x/ringdht/status"
)

// NamesIn returns short names for the members of a snapshot.
func NamesIn(s *status.Snapshot) console.Names {
	nodes := make(console.Nodes, len(s.Members))
	for i := range s.Members {
		nodes[i] = s.Members[i].Peer
	}
	return nodes.Names()
}

// Members lists the members of a snapshot, with their rates.
func Members(s *status.Snapshot, m *meter.Meter, width int) string {
	names := NamesIn(s)
	named := slices.ContainsFunc(s.Members, func(m status.Member) bool { return m.Name != "" })
	columns := []table.Column{table.Right("ID"), table.Left("address").Rank(4), table.Left("state"),
		table.Right("delivered\nin all").Rank(1), table.Right("delivered\nnow").Rank(5), table.Right("relayed\nin all").Rank(2),
		table.Right("relayed\nnow").Rank(6), table.Right("dropped").Rank(3), table.Right("queued").Rank(7), table.Right("heard").Rank(8)}
	if named {
		columns = slices.Insert(columns, 1, table.Left("name").Rank(0))
	}
	t := table.New(columns...)
	for i := range s.Members {
		n := &s.Members[i]
		delivered, relayed := "-", "-"
		if r, ok := m.Of(n); ok {
			delivered, relayed = table.Rate(r.Delivered), table.Rate(r.Relayed)
		}
		row := []any{names.ID(n.ID), names.Addr(n.Peer), n.State, n.Counters.Delivered, delivered, n.Counters.Relayed, relayed,
			Dropped(&n.Counters), table.Bytes(n.Counters.Queued), Heard(s, n)}
		if named {
			row = slices.Insert(row, 1, any(n.Name))
		}
		t.Row(row...)
	}
	return fit(t, width, "show-node shows all of one node.")
}

// Heard returns how long ago a member sent its latest heartbeat.
func Heard(s *status.Snapshot, n *status.Member) string {
	if n.Heard.IsZero() {
		return "not yet"
	}
	return table.Span(s.Time.Sub(n.Heard)) + " ago"
}

// Member formats all details of a member of a snapshot.
func Member(s *status.Snapshot, i int, m *meter.Meter, width int) string {
	n := &s.Members[i]
	host, port := split(n.Peer)
	var b strings.Builder
	b.WriteString(table.Wrap(fmt.Sprintf("Node %d, host %s, port %s\n", n.ID, host, port), width))
	t := table.New(table.Left(""), table.Text(""))
	if n.Name != "" {
		t.Row("  name", n.Name)
	}
	if len(n.Tags) > 0 {
		t.Row("  tags", Tags(n.Tags))
	}
	if len(n.Services) > 0 {
		t.Row("  services", strings.Join(n.Services, " "))
	}
	t.Row("  state", n.State)
	t.Row("  incarnation", n.Incarnation)
	t.Row("  epoch", fmt.Sprintf("%d, the ring's is %d", n.Epoch, s.Epoch))
	t.Row("  joined", table.Span(s.Time.Sub(n.Joined))+" ago")
	if a := n.Admission; a != nil && s.Security != nil {
		t.Row("  admitted", fmt.Sprintf("by token %d, for %s more unless it is renewed, key %s", a.Token, table.Span(a.Until.Sub(s.Security.Time)), a.Key))
	}
	t.Row("  heard", Heard(s, n))
	if r, ok := m.Of(n); ok {
		t.Row("  now", fmt.Sprintf("sends %s, delivers %s, relays %s", table.Rate(r.Sent), table.Rate(r.Delivered), table.Rate(r.Relayed)))
	}
	if n.Latency.Count() > 0 {
		t.Row("  latency", Latency(n.Latency))
	}
	b.WriteString(fit(t, width, ""))
	addrs := make(map[ringdht.ID]ringdht.Peer, len(s.Members))
	for i := range s.Members {
		addrs[s.Members[i].ID] = s.Members[i].Peer
	}
	b.WriteString(Links(n.Links, func(id ringdht.ID) string { return addrs[id].Addr }, width))
	b.WriteString(Streams(&n.Node, width))
	b.WriteString(Counters(n.Counters))
	return b.String()
}

// Latency formats the delivery latency.
func Latency(h status.Histogram) string {
	return fmt.Sprintf("half of the deliveries within %s, 99 %% within %s",
		table.Short(h.Quantile(0.5)), table.Short(h.Quantile(0.99)))
}

// Links lists the traffic over a node's links.
func Links(links []status.Link, addr func(ringdht.ID) string, width int) string {
	if len(links) == 0 {
		return table.Wrap("No links: the node's routing table is empty.\n", width)
	}
	t := table.New(table.Left("link to"), table.Left("address").Rank(2), table.Left("is"), table.Right("sent"), table.Right("queued").Rank(1))
	for _, l := range links {
		t.Row(l.To, addr(l.To), upOrDown(l.Up), table.Bytes(l.Bytes), table.Bytes(l.Queued))
	}
	return fit(t, width, "")
}

func upOrDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

// Streams formats how much of a node's buffers is in use.
func Streams(n *status.Node, width int) string {
	c, l := &n.Counters, &n.Limits
	t := table.New(table.Left(""), table.Right(""), table.Right(""), table.Right(""))
	for _, r := range []struct {
		name    string
		of, max int64
	}{
		{"windows", n.Streams.InFlight, n.Streams.Window},
		{"send buffer", c.SendBuffer, int64(l.SendBuffer)},
		{"receive buffer", c.ReceiveBuffer, int64(l.ReceiveBuffer)},
		{"handler backlog", c.HandlerBacklog, int64(l.HandlerBacklog)},
	} {
		t.Row("  "+r.name, table.Bytes(r.of), "of "+table.Bytes(r.max), Share(r.of, r.max))
	}
	t.Row("  queues of links", table.Bytes(c.Queued))
	return table.Wrap(fmt.Sprintf("Streams to %s, from %s; in use now\n",
		console.Count(n.Streams.Outgoing, "sink"), console.Count(n.Streams.Incoming, "source")), width) + fit(t, width, "")
}

// Share returns a part of a whole in percent.
func Share(part, whole int64) string {
	if whole <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(whole))
}

// Events lists events, a line each. If there is no room, nodes have no addresses, and reasons
// wrap.
func Events(events []status.Event, names console.Names, width int) string {
	list := func(name Naming) *table.Table {
		t := table.New(table.Right("event").Rank(1), table.Left("at"), table.Right("epoch").Rank(2), table.Left("what"), table.Left("node"), table.Text("why"))
		for _, e := range events {
			what, node, why := Event(e, name)
			t.Row(e.Seq, e.Time.Format(time.TimeOnly), e.Epoch, what, node, why)
		}
		return t
	}
	t := list(Named(names))
	if !t.Fits(width) {
		t = list(Bare(names))
	}
	text, _ := t.Fit(width)
	return text
}

// Event returns the kind, the node and the reason of an event.
func Event(e status.Event, name Naming) (what, node, why string) {
	if e.Incarnation != 0 {
		node = name(e.Node)
	}
	if e.Kind == status.EventDegraded || e.Kind == status.EventHealed {
		node += " to " + name(e.Other)
	}
	return string(e.Kind), node, e.Why
}

// Naming names a node in a list.
type Naming func(p ringdht.Peer) string

// Named names nodes by their short IDs and addresses.
func Named(names console.Names) Naming {
	return func(p ringdht.Peer) string {
		if p.Addr == "" {
			return names.ID(p.ID)
		}
		return fmt.Sprintf("%s (%s)", names.ID(p.ID), names.Addr(p))
	}
}

// Bare names nodes by their short IDs.
func Bare(names console.Names) Naming { return func(p ringdht.Peer) string { return names.ID(p.ID) } }

// Degraded lists the pairs of nodes of which the first cannot reach the second. If there is no
// room, nodes have no addresses.
func Degraded(pairs []status.Degraded, names console.Names, width int) string {
	list := func(name Naming) *table.Table {
		t := table.New(table.Left("from"), table.Left("cannot reach"), table.Text("why"))
		for _, p := range pairs {
			t.Row(name(p.From), name(p.To), p.Why)
		}
		return t
	}
	t := list(Named(names))
	if !t.Fits(width) {
		t = list(Bare(names))
	}
	return fit(t, width, "")
}

// Sidelined lists the nodes that routes lead around.
func Sidelined(nodes []status.Sidelined, names console.Names, width int) string {
	list := func(name Naming) *table.Table {
		t := table.New(table.Left("node"), table.Left("since"), table.Text("why"))
		for _, s := range nodes {
			t.Row(name(s.Node), s.Since.Format(time.TimeOnly), s.Why)
		}
		return t
	}
	t := list(Named(names))
	if !t.Fits(width) {
		t = list(Bare(names))
	}
	return fit(t, width, "")
}

// Runs lists traffic runs, a line each, with the first word of each verdict. A verdict of more
// words is below the list.
func Runs(runs []status.Run, width int) string {
	t := table.New(table.Right("run"), table.Left("at").Rank(4), table.Right("messages\nper node"), table.Right("bytes\neach").Rank(8),
		table.Right("received\nin all").Rank(3), table.Right("time").Rank(5), table.Right("rate").Rank(2),
		table.Right("hops\nmean").Rank(6), table.Right("hops\nmost").Rank(7), table.Left("verdict"))
	var more strings.Builder
	for _, r := range runs {
		kind, why, _ := strings.Cut(r.Verdict, ": ")
		t.Row(r.Number, r.Started.Format(time.TimeOnly), r.Messages, r.Payload, r.Received,
			seconds(r.Elapsed), table.Rate(r.Rate), fmt.Sprintf("%.3f", r.MeanHops), r.MaxHops, kind)
		if why != "" {
			more.WriteString(table.Wrap(fmt.Sprintf("Run %d, %s: %s\n", r.Number, kind, table.Plain(why)), width))
		}
	}
	return fit(t, width, "list-runs -json shows all.") + more.String()
}
