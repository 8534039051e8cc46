package report

import (
	"errors"
	"strings"
	"testing"

	"github.com/x/ringdht/benchmarks/internal/load"
)

// measured is a row of systems with values of all metrics, in rounds.
func measured(name string, systems map[string][][]float64, order ...string) *Row {
	r := &Row{Name: name, Reference: order[0]}
	for _, system := range order {
		s := &Series{System: system}
		for _, values := range systems[system] {
			s.Add(values, nil)
		}
		r.Series = append(r.Series, s)
	}
	return r
}

// The document has ratios within rounds, leaves out what was not measured, and judges the aims.
func TestDocument(t *testing.T) {
	rates := load.Closed{}.Metrics()
	chains := &Section{Title: "Chains", Metrics: rates, Rows: []*Row{measured("chain of 3, 8 B", map[string][][]float64{
		"relay by hand": {{10e6, 0.1, 0}, {20e6, 0.1, 0}, {40e6, 0.1, 0}},
		"ringdht":       {{7e6, 0.2, 0}, {14e6, 0.2, 0}, {4e6, 0.2, 0}},
		"libp2p":        {{14e6, 0.2, 0}, {7e6, 0.2, 0}, {8e6, 0.2, 0}},
	}, "relay by hand", "ringdht", "libp2p")}}
	growth := &Section{Title: "Growth", Metrics: load.Open{}.Metrics(), Rows: []*Row{measured("256 B, 50 k msg/s", map[string][][]float64{
		"ringdht, 10 nodes":  {{5e4, 1, 1, 1, 1, 2, 0}},
		"ringdht, 100 nodes": {{5e4, 1, 1, 1, 1, 4, 0}},
	}, "ringdht, 10 nodes", "ringdht, 100 nodes")}}
	var b strings.Builder
	if err := Document(&b, []*Section{chains, growth}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"None: every system delivered every message in every round.\n",
		"| libp2p | Chains: chain of 3, 8 B | msg/s | 0.50 (0.50 to 2.00) |\n",
		"| a relay by hand: source, relay, sink | 0.70 | – | – |\n",
		"| **ringdht** | 7.00 M | – | – |\n",
		"| one relay | relay by hand | 0.10 | – | – |\n",
		"| libp2p | Chains: chain of 3, 8 B | msg/s | 0.50 (0.50 to 2.00) |\n",
		"| messages a second of one relay by hand | chain of 3, 8 B | msg/s | 0.70 (0.10 to 0.70) | at least 0.65 | yes |\n",
		"| 100 nodes, of ten at the same load | 256 B, 50 k msg/s | CPU s per million | 2.00 | at most 1.30 | no |\n",
		"### Messages a second over one hop (more is better)\n\nNot measured.\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no line %q", want)
		}
	}
	if strings.Contains(b.String(), "| libp2p | Chains: chain of 3, 8 B | CPU") {
		t.Error("the same processor time is listed as more")
	}
	if strings.Contains(b.String(), "NATS") {
		t.Error("it shows what was not measured")
	}
	if t.Failed() {
		t.Log(b.String())
	}
}

// What was lost, failed or took more processor time is shown, and nothing passes for "not measured".
func TestDocumentShowsTrouble(t *testing.T) {
	row := measured("chain of 3, 8 B", map[string][][]float64{
		"relay by hand": {{10e6, 0.1, 0}, {20e6, 0.1, 0}},
		"ringdht":       {{7e6, 0.2, 0}, {14e6, 0.2, 0}},
		"ringdht cast":  {{7e6, 0.1, 0}, {14e6, 0.1, 0.25}},
		"libp2p":        {{7e6, 0.2, 0}},
	}, "relay by hand", "ringdht", "ringdht cast", "libp2p")
	row.series("libp2p").Add(nil, errors.New("broken"))
	write := func(r *Row) string {
		var b strings.Builder
		if err := Document(&b, []*Section{{Title: "Chains", Metrics: load.Closed{}.Metrics(), Rows: []*Row{r}}}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	got := write(row)
	for _, want := range []string{
		"| ringdht cast | Chains: chain of 3, 8 B | 12.5 % (0 to 25.0 %) | 0 of 2 |\n",
		"| libp2p | Chains: chain of 3, 8 B | 0 | 1 of 2 |\n",
		"| ringdht cast | Chains: chain of 3, 8 B | CPU s per million | 2.00 |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no line %q in\n%s", want, got)
		}
	}
	const slower = "### Where ringdht does worse than a system that is not by hand\n\n"
	row.Series = append(row.Series[:2:2], row.Series[3])
	if got := write(row); !strings.Contains(got, slower+"Nowhere.\n") {
		t.Errorf("ringdht is not slower, but it says\n%s", got)
	}
	row.Series = row.Series[:2]
	if got := write(row); !strings.Contains(got, slower+"Not measured.\n") {
		t.Errorf("no other system was measured, but it says\n%s", got)
	}
}
