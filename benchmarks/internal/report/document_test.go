package report

import (
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
		"| a relay by hand: source, relay, sink | 0.70 | – | – |\n",
		"| **ringdht** | 7.00 M | – | – |\n",
		"| one relay | relay by hand | 0.10 | – | – |\n",
		"| libp2p | Chains: chain of 3, 8 B | msg/s | 0.50 (0.50 to 2.00) |\n",
		"| messages a second of one relay by hand | chain of 3, 8 B | msg/s | 0.70 (0.10 to 0.70) | 0.65 | yes |\n",
		"| 100 nodes, of ten at the same load | 256 B, 50 k msg/s | CPU s per million | 2.00 | 1.30 | no |\n",
		"### Messages a second over one hop\n\nNot measured.\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no line %q", want)
		}
	}
	if strings.Contains(b.String(), "NATS") {
		t.Error("it shows what was not measured")
	}
	if t.Failed() {
		t.Log(b.String())
	}
}
