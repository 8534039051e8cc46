// Package report formats the library's data as text for people, and as documents for scripts.
package report

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/table"
	"github.com/x/ringdht/status"
)

// Summary formats the account of a traffic run: a line per node, the sums, the verdict, hops,
// rate, and wasted relays. If nodes were lost it names them, and counts the messages of
// unknown outcome.
func Summary(s *status.Summary) string {
	columns := []table.Column{table.Left("node"), table.Right("packets sent"), table.Right("packets received"),
		table.Right("packets relayed"), table.Right("sum of values sent"), table.Right("sum of values received")}
	trouble := len(s.Lost) > 0 || s.Sum.Unknown != 0
	if trouble {
		columns = append(columns, table.Right("of unknown outcome"), table.Right("sum of values unknown"))
	}
	t := table.New(columns...)
	row := func(name any, n status.NodeSummary) {
		cells := []any{name, n.Sent, n.Received, n.Relayed, n.SumSent, n.SumReceived}
		if trouble {
			cells = append(cells, n.Unknown, n.SumUnknown)
		}
		t.Row(cells...)
	}
	for _, n := range s.Nodes {
		switch {
		case n.Lost:
			row(fmt.Sprintf("%d (lost)", n.ID), n)
		case n.Late:
			row(fmt.Sprintf("%d (joined late)", n.ID), n)
		default:
			row(n.ID, n)
		}
	}
	row("Sum", s.Sum)
	wasted := ""
	if s.Wasted > 0 {
		wasted = fmt.Sprintf(" Wasted relays: %d.", s.Wasted)
	}
	return fmt.Sprintf("%sVerdict: %s\nHops: mean %.3f, maximum %d. Rate: %.0f messages per second. Time: %s.%s\n",
		t, table.Plain(s.Verdict()), s.MeanHops, s.MaxHops, s.Rate(), seconds(s.Elapsed), wasted)
}

func seconds(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.3f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// Peers lists nodes, a line each.
func Peers(peers []ringdht.Peer) string {
	t := table.New(table.Left("host"), table.Right("port"), table.Right("ID"))
	for _, p := range peers {
		host, port := split(p)
		t.Row(host, port, p.ID)
	}
	return t.String()
}

// Table formats the routing table of a node.
func Table(self ringdht.Peer, entries *ringdht.Table) string {
	host, port := split(self)
	t := table.New(table.Right("entry"), table.Right("ID"), table.Left("host"), table.Right("port"))
	n := 0
	for p := range entries.Entries() {
		n++
		host, port := split(p)
		t.Row(n, p.ID, host, port)
	}
	head := fmt.Sprintf("Node %d, host %s, port %s", self.ID, host, port)
	if n == 0 {
		return head + ": no entries\n"
	}
	return head + "\n" + t.String()
}

// Trace formats the route of a trace, hop by hop.
func Trace(from, to ringdht.ID, hops []status.Hop) string {
	if from == to {
		return fmt.Sprintf("From %d to itself: no hops\n", from)
	}
	t := table.New(table.Right("hop"), table.Right("ID"), table.Right("answered after"))
	for i, h := range hops {
		t.Row(i+1, h.ID, fmt.Sprintf("%.3f ms", float64(h.Elapsed)/float64(time.Millisecond)))
	}
	return fmt.Sprintf("From %d to %d:\n%s", from, to, t)
}

// Counters formats a node's counters. It leaves out reasons for drops that never occurred.
func Counters(c status.Counters) string {
	var b strings.Builder
	section := func(title string, rows ...any) {
		t := table.New(table.Left(""), table.Right(""))
		for i := 0; i < len(rows); i += 2 {
			t.Row("  "+rows[i].(string), rows[i+1])
		}
		fmt.Fprintf(&b, "%s\n%s", title, t)
	}
	section("Messages",
		"sent", c.Sent,
		"delivered to this node", c.Delivered,
		"relayed for others", c.Relayed,
		"retransmitted", c.Retransmitted,
		"duplicates dropped", c.Duplicates)
	var drops []any
	for _, r := range Trouble(&c) {
		drops = append(drops, r.What, r.Frames)
	}
	if len(drops) > 0 {
		section("Trouble, frames by reason", drops...)
	}
	section("Links",
		"frames in", c.FramesIn,
		"bytes in", table.Bytes(c.BytesIn),
		"reads", c.Reads,
		"frames per read", ratio(c.FramesIn, c.Reads),
		"bytes out", table.Bytes(c.BytesOut),
		"writes", c.Writes)
	return b.String()
}

// Reason is a reason for which frames were dropped, or delivered with trouble.
type Reason struct {
	What   string
	Frames int64
}

// Trouble returns the reasons that occurred, with their counts.
func Trouble(c *status.Counters) (arose []Reason) {
	for _, r := range append(drops(c), Reason{"handler panicked", c.Panics}, Reason{"sent by a detour", c.Detoured + c.Requeued}) {
		if r.Frames != 0 {
			arose = append(arose, r)
		}
	}
	return arose
}

// Dropped returns how many frames were dropped, for any reason.
func Dropped(c *status.Counters) (frames int64) {
	for _, r := range drops(c) {
		frames += r.Frames
	}
	return frames
}

func drops(c *status.Counters) []Reason {
	d := c.Dropped
	return []Reason{
		{"queue of a link full", d.QueueFull}, {"link down", d.LinkDown}, {"no such node", d.NoRoute},
		{"too many hops", d.HopLimit}, {"passed its sink", d.Overshoot}, {"receive buffer full", d.InboxFull},
		{"of an earlier stream", d.Stale}, {"malformed", d.Malformed}, {"streams refused", d.Refused},
	}
}

func ratio(a, b int64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", float64(a)/float64(b))
}

// split returns the host and port of a peer. Line ends are removed: the address is the node's
// own claim.
func split(p ringdht.Peer) (host, port string) {
	addr := table.Plain(p.Addr)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, ""
	}
	return host, port
}
