// Package report formats the library's data as text for people, and as documents for scripts.
package report

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/table"
	"github.com/x/ringdht/status"
)

// fit returns a table within a width. If columns had to be left out, a last line names them, and
// says what shows them.
func fit(t *table.Table, width int, shows string) string {
	text, without := t.Fit(width)
	if len(without) > 0 {
		note := strings.TrimSpace(fmt.Sprintf("No room for: %s. %s", strings.Join(without, ", "), shows))
		text += table.Wrap(note, width) + "\n"
	}
	return text
}

// Peers lists nodes, a line each, with what they say of themselves if any of them says something.
func Peers(nodes []status.MemberInfo, width int) string {
	named := slices.ContainsFunc(nodes, func(m status.MemberInfo) bool { return m.Name != "" })
	more := slices.ContainsFunc(nodes, func(m status.MemberInfo) bool { return len(m.Tags)+len(m.Services) > 0 })
	columns := []table.Column{table.Left("host"), table.Right("port"), table.Right("ID")}
	if named {
		columns = append(columns, table.Left("name").Rank(1))
	}
	if more {
		columns = append(columns, table.Left("tags").Rank(3), table.Left("services").Rank(2))
	}
	t := table.New(columns...)
	for _, m := range nodes {
		host, port := split(m.Peer)
		row := []any{host, port, m.ID}
		if named {
			row = append(row, m.Name)
		}
		if more {
			row = append(row, Tags(m.Tags), strings.Join(m.Services, " "))
		}
		t.Row(row...)
	}
	return fit(t, width, "")
}

// Tags writes down tags, sorted.
func Tags(tags map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, key+"="+tags[key])
	}
	return strings.Join(all, " ")
}

// InfoOf is what a member of a snapshot says of itself.
func InfoOf(m *status.Member) status.MemberInfo {
	return status.MemberInfo{Peer: m.Peer, Incarnation: m.Incarnation, Name: m.Name, Tags: m.Tags, Services: m.Services}
}

// Table formats the routing table of a node.
func Table(self ringdht.Peer, entries *ringdht.Table, width int) string {
	return routes(self, slices.Collect(entries.Entries()), width)
}

func routes(self ringdht.Peer, entries []ringdht.Peer, width int) string {
	host, port := split(self)
	t := table.New(table.Right("entry").Rank(1), table.Right("ID"), table.Left("host"), table.Right("port"))
	for i, p := range entries {
		host, port := split(p)
		t.Row(i+1, p.ID, host, port)
	}
	head := fmt.Sprintf("Node %d, host %s, port %s", self.ID, host, port)
	if len(entries) == 0 {
		return table.Wrap(head+": no entries\n", width)
	}
	return table.Wrap(head+"\n", width) + fit(t, width, "")
}

// Trace formats the route of a trace, hop by hop.
func Trace(from, to ringdht.ID, hops []status.Hop, width int) string {
	if from == to {
		return table.Wrap(fmt.Sprintf("From %d to itself: no hops\n", from), width)
	}
	t := table.New(table.Right("hop"), table.Right("ID"), table.Right("answered\nafter"))
	for i, h := range hops {
		t.Row(i+1, h.ID, fmt.Sprintf("%.3f ms", float64(h.Elapsed)/float64(time.Millisecond)))
	}
	return table.Wrap(fmt.Sprintf("From %d to %d:\n", from, to), width) + fit(t, width, "")
}

// Counters formats a node's counters. It leaves out reasons for drops that never occurred. All
// lines are short.
func Counters(c status.Counters) string {
	var b strings.Builder
	section := func(title string, rows ...any) {
		t := table.New(table.Left(""), table.Right(""))
		for i := 0; i < len(rows); i += 2 {
			t.Row("  "+rows[i].(string), rows[i+1])
		}
		fmt.Fprintf(&b, "%s\n%s", title, t)
	}
	section("Messages of all kinds",
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
		{"of an ended stream", d.Stale}, {"malformed", d.Malformed}, {"streams refused", d.Refused}, {"of an unknown type", d.Unknown},
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
