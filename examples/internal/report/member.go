package report

import (
	"fmt"
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
func Members(s *status.Snapshot, m *meter.Meter) string {
	names := NamesIn(s)
	t := table.New(table.Right("ID"), table.Left("address"), table.Left("state"), table.Right("delivered"), table.Right("now"),
		table.Right("relayed"), table.Right("now"), table.Right("dropped"), table.Right("queued"), table.Right("heard"))
	for i := range s.Members {
		n := &s.Members[i]
		delivered, relayed := "-", "-"
		if r, ok := m.Of(n); ok {
			delivered, relayed = table.Rate(r.Delivered), table.Rate(r.Relayed)
		}
		t.Row(names.ID(n.ID), names.Addr(n.Peer), n.State, n.Counters.Delivered, delivered, n.Counters.Relayed, relayed,
			Dropped(&n.Counters), table.Bytes(n.Counters.Queued), Heard(s, n))
	}
	return t.String()
}

// Heard returns how long ago a member sent its latest heartbeat.
func Heard(s *status.Snapshot, n *status.Member) string {
	if n.Heard.IsZero() {
		return "not yet"
	}
	return table.Span(s.Time.Sub(n.Heard)) + " ago"
}

// Member formats all details of a member of a snapshot.
func Member(s *status.Snapshot, i int, m *meter.Meter) string {
	n := &s.Members[i]
	host, port := split(n.Peer)
	var b strings.Builder
	fmt.Fprintf(&b, "Node %d, host %s, port %s\n", n.ID, host, port)
	table1 := table.New(table.Left(""), table.Left(""))
	table1.Row("  state", n.State)
	table1.Row("  incarnation", n.Incarnation)
	table1.Row("  epoch", fmt.Sprintf("%d, the ring's is %d", n.Epoch, s.Epoch))
	table1.Row("  joined", table.Span(s.Time.Sub(n.Joined))+" ago")
	table1.Row("  heard", Heard(s, n))
	if r, ok := m.Of(n); ok {
		table1.Row("  now", fmt.Sprintf("sends %s, delivers %s, relays %s", table.Rate(r.Sent), table.Rate(r.Delivered), table.Rate(r.Relayed)))
	}
	if n.Latency.Count() > 0 {
		table1.Row("  latency", Latency(n.Latency))
	}
	b.WriteString(table1.String())
	addrs := make(map[ringdht.ID]ringdht.Peer, len(s.Members))
	for i := range s.Members {
		addrs[s.Members[i].ID] = s.Members[i].Peer
	}
	b.WriteString(Links(n.Links, func(id ringdht.ID) string { return addrs[id].Addr }))
	b.WriteString(Streams(&n.Node))
	b.WriteString(Counters(n.Counters))
	return b.String()
}

// Latency formats the delivery latency.
func Latency(h status.Histogram) string {
	return fmt.Sprintf("half of the deliveries within %s, 99 %% within %s",
		table.Short(h.Quantile(0.5)), table.Short(h.Quantile(0.99)))
}

// Links lists the traffic over a node's links.
func Links(links []status.Link, addr func(ringdht.ID) string) string {
	if len(links) == 0 {
		return "No links: the node's routing table is empty.\n"
	}
	t := table.New(table.Left("link to"), table.Left("address"), table.Left("is"), table.Right("sent"), table.Right("queued"))
	for _, l := range links {
		t.Row(l.To, addr(l.To), upOrDown(l.Up), table.Bytes(l.Bytes), table.Bytes(l.Queued))
	}
	return t.String()
}

func upOrDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

// Streams formats how much of a node's buffers is in use.
func Streams(n *status.Node) string {
	c, l := &n.Counters, &n.Limits
	t := table.New(table.Left(""), table.Right(""), table.Right(""), table.Right(""))
	for _, r := range []struct {
		name    string
		of, max int64
	}{
		{"windows", n.Streams.InFlight, n.Streams.Window},
		{"send buffer", c.SendBuffer, int64(l.SendBuffer)},
		{"receive buffer", c.ReceiveBuffer, int64(l.ReceiveBuffer)},
		{"backlog of handlers", c.HandlerBacklog, int64(l.HandlerBacklog)},
	} {
		t.Row("  "+r.name, table.Bytes(r.of), "of "+table.Bytes(r.max), Share(r.of, r.max))
	}
	t.Row("  queues of links", table.Bytes(c.Queued))
	return fmt.Sprintf("Streams to %s, from %s; in use now\n%s",
		console.Count(n.Streams.Outgoing, "sink"), console.Count(n.Streams.Incoming, "source"), t)
}

// Share returns a part of a whole in percent.
func Share(part, whole int64) string {
	if whole <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(whole))
}

// Events lists events, a line each.
func Events(events []status.Event, names console.Names) string {
	t := table.New(table.Right("event"), table.Left("at"), table.Right("epoch"), table.Left("what"), table.Left("node"), table.Left("why"))
	for _, e := range events {
		what, node, why := Event(e, names)
		t.Row(e.Seq, e.Time.Format(time.TimeOnly), e.Epoch, what, node, why)
	}
	return t.String()
}

// Event returns the kind, the node and the reason of an event.
func Event(e status.Event, names console.Names) (what, node, why string) {
	if e.Incarnation != 0 {
		node = named(e.Node, names)
	}
	if e.Kind == status.EventDegraded || e.Kind == status.EventHealed {
		node += " to " + named(e.Other, names)
	}
	return string(e.Kind), node, e.Why
}

func named(p ringdht.Peer, names console.Names) string {
	if p.Addr == "" {
		return names.ID(p.ID)
	}
	return fmt.Sprintf("%s (%s)", names.ID(p.ID), names.Addr(p))
}

// Degraded lists the pairs of nodes of which the first cannot reach the second.
func Degraded(pairs []status.Degraded) string {
	t := table.New(table.Left("from"), table.Left("cannot reach"), table.Left("why"))
	for _, p := range pairs {
		t.Row(p.From, p.To, p.Why)
	}
	return t.String()
}

// Runs lists traffic runs, a line each.
func Runs(runs []status.Run) string {
	t := table.New(table.Right("run"), table.Left("at"), table.Right("messages"), table.Right("payload"), table.Right("received"),
		table.Right("time"), table.Right("rate"), table.Right("hops"), table.Right("most"), table.Left("verdict"))
	for _, r := range runs {
		t.Row(r.Number, r.Started.Format(time.TimeOnly), r.Messages, table.Bytes(int64(r.Payload)), r.Received,
			seconds(r.Elapsed), table.Rate(r.Rate), fmt.Sprintf("%.3f", r.MeanHops), r.MaxHops, r.Verdict)
	}
	return t.String()
}
