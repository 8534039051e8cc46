package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/table"
	"github.com/x/ringdht/status"
)

// usualWidth is the width of a summary that is not printed on a terminal.
const usualWidth = 80

// Summary formats the account of a traffic run within a width, or if that is 0, within 80 columns:
// a row for each node, the sums, the verdict, hops, rate, and wasted relays. If messages have no
// known outcome, another table has them.
//
// If there is no room, IDs are cut to a start that only one node has. If that is not enough, the
// packets and the sums of values are two tables.
func Summary(s *status.Summary, width int) string {
	room := width
	if width <= 0 {
		room = usualWidth
	}
	text := accounts(s, room)
	if s.Sum.Unknown != 0 {
		unknown := account{s, []figure{
			{"packets", func(n *status.NodeSummary) int64 { return n.Unknown }},
			{"sum of values", func(n *status.NodeSummary) int64 { return n.SumUnknown }},
		}, func(n *status.NodeSummary) bool { return n.Unknown != 0 }}
		text += table.Wrap("Of unknown outcome, by the node that sent them:\n", room) + unknown.fit(room)
	}
	wasted := ""
	if s.Wasted > 0 {
		wasted = fmt.Sprintf(" Wasted relays: %d.", s.Wasted)
	}
	return text + table.Wrap(fmt.Sprintf("Verdict: %s\nHops: mean %.3f, maximum %d. Rate: %.0f messages per second. Time: %s.%s\n",
		table.Plain(s.Verdict()), s.MeanHops, s.MaxHops, s.Rate(), seconds(s.Elapsed), wasted), width)
}

// figure is a column of an account.
type figure struct {
	heading string
	of      func(n *status.NodeSummary) int64
}

var (
	packets = []figure{
		{"packets\nsent", func(n *status.NodeSummary) int64 { return n.Sent }},
		{"packets\nreceived", func(n *status.NodeSummary) int64 { return n.Received }},
		{"packets\nrelayed", func(n *status.NodeSummary) int64 { return n.Relayed }},
	}
	sums = []figure{
		{"sum of values\nsent", func(n *status.NodeSummary) int64 { return n.SumSent }},
		{"sum of values\nreceived", func(n *status.NodeSummary) int64 { return n.SumReceived }},
	}
)

// account is a table of figures of the nodes for which has returns true, or of all.
type account struct {
	*status.Summary
	figures []figure
	has     func(n *status.NodeSummary) bool
}

// accounts formats the figures of all nodes: in one table if there is room, else in two.
func accounts(s *status.Summary, width int) string {
	one := account{s, slices.Concat(packets, sums), nil}
	for _, name := range []naming{fullName, cutNames(s)} {
		if t := one.table(name); t.Fits(width) {
			return t.String()
		}
	}
	return account{s, packets, nil}.fit(width) + account{s, sums, nil}.fit(width)
}

// fit formats the table with whole IDs, or if there is no room, with cut ones.
func (a account) fit(width int) string {
	if t := a.table(fullName); t.Fits(width) {
		return t.String()
	}
	text, _ := a.table(cutNames(a.Summary)).Fit(width)
	return text
}

// naming names a node.
type naming func(n *status.NodeSummary) string

func fullName(n *status.NodeSummary) string { return n.ID.String() }

func cutNames(s *status.Summary) naming {
	nodes := make(console.Nodes, len(s.Nodes))
	for i, n := range s.Nodes {
		nodes[i].ID, nodes[i].Addr = n.ID, n.Addr
	}
	names := nodes.Names()
	return func(n *status.NodeSummary) string { return names.ID(n.ID) }
}

func (a account) table(name naming) *table.Table {
	columns := []table.Column{table.Left("node")}
	for _, f := range a.figures {
		columns = append(columns, table.Right(f.heading))
	}
	t := table.New(columns...)
	row := func(name string, n *status.NodeSummary) {
		cells := []any{name}
		for _, f := range a.figures {
			cells = append(cells, f.of(n))
		}
		t.Row(cells...)
	}
	for i := range a.Nodes {
		n := &a.Nodes[i]
		if a.has != nil && !a.has(n) {
			continue
		}
		row(strings.TrimSpace(name(n)+" "+part(n)), n)
	}
	row("Sum", &a.Sum)
	return t
}

// part says which part a node had in a run, if it is not the usual one.
func part(n *status.NodeSummary) string {
	switch {
	case n.Stuck:
		return "stuck"
	case n.Lost:
		return "lost"
	case n.Late:
		return "late"
	}
	return ""
}

func seconds(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.3f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// Figures formats what a node has counted of traffic runs, in the words of a summary: of the run
// under way or the latest one, and of all. If there is no room, these are two lists.
func Figures(r *status.NodeRuns, width int) string {
	latest := []string{fmt.Sprintf("run %d,", r.Latest.Number), "the latest"}
	switch {
	case r.Latest.Number == 0:
		latest = []string{"no run", "yet"}
	case r.Latest.UnderWay:
		latest[1] = "under way"
	}
	all := []string{"all", console.Count(int(r.Count), "run")}
	t := table.New(table.Left("In traffic runs"), table.Right(strings.Join(latest, "\n")), table.Right(strings.Join(all, "\n")))
	rows := figureRows(&r.Latest.RunFigures, &r.All)
	for _, row := range rows {
		t.Row("  "+row.name, row.latest, row.all)
	}
	if t.Fits(width) {
		return t.String()
	}
	one, sum := table.New(table.Left(""), table.Right("")), table.New(table.Left(""), table.Right(""))
	for _, row := range rows {
		one.Row("  "+row.name, row.latest)
		sum.Row("  "+row.name, row.all)
	}
	return fmt.Sprintf("In traffic runs: %s\n%s", strings.Join(latest, " "), fit(one, width, "")) +
		fmt.Sprintf("In traffic runs: %s\n%s", strings.Join(all, ", "), fit(sum, width, ""))
}

// figureRow is a row of [Figures].
type figureRow struct {
	name        string
	latest, all int64
}

func figureRows(latest, all *status.RunFigures) []figureRow {
	rows := []figureRow{
		{"packets sent", latest.Sent, all.Sent},
		{"packets received", latest.Received, all.Received},
		{"packets relayed", latest.Relayed, all.Relayed},
		{"sum of values sent", latest.SumSent, all.SumSent},
		{"sum of values received", latest.SumReceived, all.SumReceived},
	}
	if all.Unknown != 0 {
		rows = append(rows, figureRow{"packets of unknown outcome", latest.Unknown, all.Unknown},
			figureRow{"sum of values unknown", latest.SumUnknown, all.SumUnknown})
	}
	return rows
}
