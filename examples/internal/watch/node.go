package watch

import (
	"fmt"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/meter"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/examples/internal/table"
	"github.com/x/ringdht/status"
)

// Sample is the status of a node at one moment.
type Sample struct {
	Time     time.Time
	Status   status.Node
	Registry string         // its address
	Lost     bool           // it cannot be reached
	Peers    []ringdht.Peer // the entries of the node's table
}

// Node is a view of a node in its own process.
type Node struct {
	take func() Sample

	now                      Sample
	rates                    meter.Rates
	links                    map[ringdht.ID]float64 // bytes per second
	known                    bool
	sent, delivered, relayed history
}

// NewNode returns a view of a node.
func NewNode(take func() Sample) *Node { return &Node{take: take} }

// Refresh takes the next sample.
func (n *Node) Refresh() {
	before := n.now
	n.now = n.take()
	passed := n.now.Time.Sub(before.Time)
	// Another incarnation counts from zero.
	if n.known = before.Time != (time.Time{}) && passed > 0 && before.Status.Incarnation == n.now.Status.Incarnation; !n.known {
		return
	}
	n.rates = meter.Between(&before.Status.Counters, &n.now.Status.Counters, passed)
	n.sent.add(n.rates.Sent)
	n.delivered.add(n.rates.Delivered)
	n.relayed.add(n.rates.Relayed)
	n.links = make(map[ringdht.ID]float64)
	for _, l := range n.now.Status.Links {
		n.links[l.To] = float64(l.Bytes)
	}
	for _, l := range before.Status.Links {
		n.links[l.To] = max(0, n.links[l.To]-float64(l.Bytes)) // a new link counts from zero, too
	}
	for id := range n.links {
		n.links[id] /= passed.Seconds()
	}
}

func (n *Node) rate(f float64) string {
	if !n.known {
		return "-"
	}
	return table.Rate(f)
}

// Lines returns the view.
func (n *Node) Lines(size console.Size) []string {
	s, width := &n.now.Status, size.Columns
	head := []string{joined(width, fmt.Sprintf("node %d at %s", s.ID, s.Addr), n.now.Time.Format(time.TimeOnly), overlay(s), "registry at "+n.now.Registry)}
	if n.now.Lost {
		head = append(head, fmt.Sprintf("The registry at %s cannot be reached.", n.now.Registry))
	}
	var flow []string
	for _, r := range []struct {
		what  string
		total int64
		rate  float64
		past  history
	}{
		{"sent", s.Counters.Sent, n.rates.Sent, n.sent},
		{"delivered", s.Counters.Delivered, n.rates.Delivered, n.delivered},
		{"relayed", s.Counters.Relayed, n.rates.Relayed, n.relayed},
	} {
		flow = append(flow, fmt.Sprintf("%-9s %7s %11d %s", r.what, n.rate(r.rate), r.total, spark(r.past, width-30)))
	}
	parts := []string{fmt.Sprintf("dropped   %7d", report.Dropped(&s.Counters))}
	for _, r := range report.Trouble(&s.Counters) {
		parts = append(parts, fmt.Sprintf("%s: %d", r.What, r.Frames))
	}
	flow = append(flow, joined(width, parts...))
	if s.Latency.Count() > 0 {
		flow = append(flow, "latency   "+report.Latency(s.Latency))
	}
	held := lines(report.Streams(s, width))
	rest := size.Rows - len(head) - len(flow) - 1
	links := n.linkLines(width, rest)
	if rest < len(links)+len(held) {
		held = nil
	}
	return clip(stacked(size.Rows, "Enter ends this view.", head, flow, links, held), width)
}

func overlay(s *status.Node) string {
	if s.Epoch == 0 {
		return "not set up"
	}
	return fmt.Sprintf("epoch %d, %s", s.Epoch, console.Count(s.Members, "node"))
}

func (n *Node) linkLines(width, rows int) []string {
	links := n.now.Status.Links
	if len(links) == 0 || rows < 2 {
		return nil
	}
	names := console.Nodes(append([]ringdht.Peer{n.now.Status.Peer}, n.now.Peers...)).Names()
	addrs := make(map[ringdht.ID]ringdht.Peer)
	for _, p := range n.now.Peers {
		addrs[p.ID] = p
	}
	more := ""
	if len(links) > rows-1 {
		more = fmt.Sprintf("and %d more", len(links)-max(1, rows-2))
		links = links[:max(1, rows-2)]
	}
	t := table.New(table.Left("link to"), table.Left("address").Rank(5), table.Left("is").Rank(2),
		table.Right("now").Rank(1), table.Right("sent").Rank(4), table.Right("queued").Rank(3))
	for _, l := range links {
		is := "up"
		if !l.Up {
			is = "down"
		}
		now := "-"
		if n.known {
			now = table.Bytes(int64(n.links[l.To])) + "/s"
		}
		t.Row(names.ID(l.To), names.Addr(addrs[l.To]), is, now, table.Bytes(l.Bytes), table.Bytes(l.Queued))
	}
	return fitted(t, width, more)
}

// Line returns the node in one line.
func (n *Node) Line() string {
	s := &n.now.Status
	return fmt.Sprintf("%s  sent %7s  delivered %7s  relayed %7s  dropped %d  queued %s", n.now.Time.Format(time.TimeOnly),
		n.rate(n.rates.Sent), n.rate(n.rates.Delivered), n.rate(n.rates.Relayed), report.Dropped(&s.Counters), table.Bytes(s.Counters.Queued))
}

// Document returns all data of the node, with rates.
func (n *Node) Document() any {
	d := struct {
		Time time.Time `json:"time"`
		status.Node
		Rates *meter.Rates `json:"rates"` // null while unknown
	}{n.now.Time, n.now.Status, nil}
	if n.known {
		d.Rates = &n.rates
	}
	return d
}
