package report

import (
	"encoding/csv"
	"strconv"
	"strings"

	"github.com/x/ringdht/status"
)

// SummaryHeader is the header of [SummaryCSV]: the names of its columns.
const SummaryHeader = "run,node,address,part,packets_sent,packets_received,packets_relayed," +
	"sum_of_values_sent,sum_of_values_received,packets_unknown,sum_of_values_unknown," +
	"mean_hops,max_hops,relays_wasted,seconds,verdict\n"

// SummaryCSV formats the account of a traffic run as CSV, without the header: a row for each
// node, and a last row with the sums, whose node is Sum. The part of a node is empty, lost, stuck or
// late. The run's number, hops, relays wasted, time and verdict are the same in all rows, so that
// any row tells them.
func SummaryCSV(s *status.Summary) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	fraction := func(f float64) string { return strconv.FormatFloat(f, 'f', 6, 64) }
	row := func(name string, n *status.NodeSummary) {
		w.Write([]string{strconv.FormatUint(s.Number, 10), name, n.Addr, part(n), number(n.Sent), number(n.Received), number(n.Relayed),
			number(n.SumSent), number(n.SumReceived), number(n.Unknown), number(n.SumUnknown),
			fraction(s.MeanHops), strconv.Itoa(s.MaxHops), number(s.Wasted), fraction(s.Elapsed.Seconds()), s.Verdict()})
	}
	for i := range s.Nodes {
		row(s.Nodes[i].ID.String(), &s.Nodes[i])
	}
	row("Sum", &s.Sum)
	w.Flush()
	return b.String()
}
