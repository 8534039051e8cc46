package report

import (
	"encoding/csv"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

func TestSummary(t *testing.T) {
	s := &status.Summary{
		Nodes: []status.NodeSummary{
			{ID: 10, Addr: "a:1", Sent: 25000, Received: 24999, Relayed: 7, SumSent: -152885816525, SumReceived: 84917970788},
			{ID: 65535, Addr: "b:1", Sent: 25000, Received: 25001, Relayed: 22222, SumSent: 88821521114, SumReceived: -148982266199},
		},
		Sum:     status.NodeSummary{Sent: 50000, Received: 50000, Relayed: 22229, SumSent: -64064295411, SumReceived: -64064295411},
		Elapsed: 250 * time.Millisecond, MeanHops: 1.8889, MaxHops: 3,
	}
	table := `       packets   packets  packets  sum of values  sum of values
node      sent  received  relayed           sent       received
10       25000     24999        7  -152885816525    84917970788
65535    25000     25001    22222    88821521114  -148982266199
Sum      50000     50000    22229   -64064295411   -64064295411
`
	check(t, Summary(s, 0), table+`Verdict: exact
Hops: mean 1.889, maximum 3. Rate: 200000 messages per second. Time: 0.250 s.
`)
	check(t, Summary(s, 80), Summary(s, 0))
	s.Wrong = []string{"node 43 (c:1) is gone", "from 10 to 65535: 5 sent, 4 received, sums 12 and -3"}
	s.Elapsed = 25 * time.Second
	check(t, Summary(s, 0), table+`Verdict: WRONG: node 43 (c:1) is gone; from 10 to 65535: 5 sent, 4 received, sums 12 and -3
Hops: mean 1.889, maximum 3. Rate: 2000 messages per second. Time: 25.0 s.
`)
	check(t, Summary(s, 80), table+`Verdict: WRONG: node 43 (c:1) is gone; from 10 to 65535: 5 sent, 4 received,
sums 12 and -3
Hops: mean 1.889, maximum 3. Rate: 2000 messages per second. Time: 25.0 s.
`)
	s = &status.Summary{
		Nodes: []status.NodeSummary{{ID: 10, Sent: 5, Received: 5, Relayed: 7}, {ID: 11, Late: true, Relayed: 3}, {ID: 12, Late: true, Lost: true}},
		Sum:   status.NodeSummary{Sent: 5, Received: 5, Relayed: 10}, Wasted: 2,
	}
	check(t, Summary(s, 0), `         packets   packets  packets  sum of values  sum of values
node        sent  received  relayed           sent       received
10             5         5        7              0              0
11 late        0         0        3              0              0
12 lost        0         0        0              0              0
Sum            5         5       10              0              0
Verdict: exact
Hops: mean 0.000, maximum 0. Rate: 0 messages per second. Time: 0.000 s. Wasted relays: 2.
`)
}

// Messages of unknown outcome have a table of their own, so that the usual one does not grow.
func TestSummaryOfUnknownOutcome(t *testing.T) {
	s := &status.Summary{
		Nodes: []status.NodeSummary{{ID: 43376, Sent: 4000000, Unknown: 19946, SumUnknown: 406444632964}, {ID: 44306}, {ID: 49743, Lost: true}},
		Sum:   status.NodeSummary{Unknown: 19946, SumUnknown: 406444632964}, Lost: []string{"node 49743"},
	}
	if text, want := Summary(s, 0), `Of unknown outcome, by the node that sent them:
node   packets  sum of values
43376    19946   406444632964
Sum      19946   406444632964
Verdict: balanced: 19946 messages of unknown outcome; lost: node 49743
`; !strings.Contains(text, want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

// largest returns the account of ten nodes with IDs of some bits, and with the largest figures
// that a run can have: messages, and sums of their values.
func largest(bits int, messages, sum int64) *status.Summary {
	s := &status.Summary{Elapsed: 123 * time.Hour, MeanHops: 2.345, MaxHops: 12, Wasted: messages, Lost: []string{"node 5 (127.0.0.1:5): connection lost: EOF"}}
	for i := range 10 {
		n := status.NodeSummary{ID: ringdht.ID(math.MaxUint64>>(64-bits) - uint64(i)*(1<<bits/16)), Addr: fmt.Sprintf("127.0.0.1:%d", 40000+i), Lost: i == 3, Late: i == 4,
			Sent: messages, Received: messages, Relayed: messages, Unknown: messages, SumSent: -sum, SumReceived: sum, SumUnknown: -sum}
		s.Nodes = append(s.Nodes, n)
	}
	s.Sum = s.Nodes[0]
	s.Sum.ID = 0
	return s
}

// The summary of ten nodes fits 80 columns in a terminal and in a pipe, and 40 columns on a
// terminal: with 64-bit IDs, and with the largest figures.
func TestSummaryFits(t *testing.T) {
	for _, bits := range []int{16, 32, 63} {
		for _, c := range []struct{ messages, sum int64 }{{25000, 1e11}, {1e7, 1e13}, {1 << 40, math.MaxInt64}} {
			s := largest(bits, c.messages, c.sum)
			for _, width := range []int{80, 40} {
				text := Summary(s, width)
				fits(t, fmt.Sprintf("%d bits, %d messages, width %d", bits, c.messages, width), text, width)
				if number := fmt.Sprint(-c.sum); !strings.Contains(text, number) {
					t.Errorf("%s is missing in\n%s", number, text)
				}
			}
			table, _, _ := strings.Cut(Summary(s, 0), "Verdict")
			fits(t, "in a pipe", table, 80)
			if rows := strings.Count(table, "\n"); c.messages == 25000 && rows != 2+10+1+1+1+10+1 {
				t.Errorf("%d bits: %d rows\n%s", bits, rows, table)
			}
		}
	}
}

// fits demands lines of at most width characters.
func fits(t *testing.T, what, text string, width int) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
			t.Errorf("%s: %d columns: %q", what, n, line)
		}
	}
}

func TestSummaryCSV(t *testing.T) {
	s := largest(64-1, 1<<40, math.MaxInt64)
	s.Lost[0] = "node 5: \"a, b\"\nand c"
	s.Number = 3
	next := *s
	next.Number = 4
	rows, err := csv.NewReader(strings.NewReader(SummaryHeader + SummaryCSV(s) + SummaryCSV(&next))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1+11+11 {
		t.Fatalf("%d rows", len(rows))
	}
	at := make(map[string]int)
	for i, name := range rows[0] {
		at[name] = i
	}
	cell := func(row int, name string) string { return rows[row][at[name]] }
	for name, want := range map[string]string{"run": "3", "node": s.Nodes[3].ID.String(), "address": "127.0.0.1:40003", "part": "lost",
		"packets_sent": "1099511627776", "sum_of_values_sent": "-9223372036854775807", "sum_of_values_received": "9223372036854775807",
		"packets_unknown": "1099511627776", "mean_hops": "2.345000", "max_hops": "12", "seconds": "442800.000000", "verdict": s.Verdict()} {
		if got := cell(4, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if cell(11, "node") != "Sum" || cell(11, "packets_sent") != "1099511627776" || cell(12, "run") != "4" {
		t.Errorf("%v, %v", rows[11], rows[12])
	}
}

func TestFigures(t *testing.T) {
	r := &status.NodeRuns{Count: 2}
	r.Latest = status.NodeRun{Number: 7, RunFigures: status.RunFigures{Sent: 1000, Received: 990, Relayed: 12, SumSent: -5, SumReceived: 123456789012}}
	r.All = status.RunFigures{Sent: 26000, Received: 25990, Relayed: 345, SumSent: -152885816525, SumReceived: 123456789012}
	check(t, Figures(r, 80), `                                run 7,            all
In traffic runs             the latest         2 runs
  packets sent                    1000          26000
  packets received                 990          25990
  packets relayed                   12            345
  sum of values sent                -5  -152885816525
  sum of values received  123456789012   123456789012
`)
	check(t, Figures(r, 40), `In traffic runs: run 7, the latest
  packets sent                    1000
  packets received                 990
  packets relayed                   12
  sum of values sent                -5
  sum of values received  123456789012
In traffic runs: all, 2 runs
  packets sent                    26000
  packets received                25990
  packets relayed                   345
  sum of values sent      -152885816525
  sum of values received   123456789012
`)
	r.Latest.UnderWay = true
	if text := Figures(r, 0); !strings.Contains(text, "run 7,") || !strings.Contains(text, "under way") {
		t.Errorf("%s", text)
	}
	if text := Figures(&status.NodeRuns{}, 0); !strings.Contains(text, "0 runs") || !strings.Contains(text, "no run") {
		t.Errorf("%s", text)
	}
	r.All.Unknown = math.MaxInt64
	fits(t, "figures", Figures(r, 80), 80)
	fits(t, "figures", Figures(r, 40), 40)
}
