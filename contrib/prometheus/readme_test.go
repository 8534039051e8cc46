package ringprom

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	dto "github.com/prometheus/client_model/go"

	"github.com/x/ringdht"
)

var update = flag.Bool("update", false, "write the table of metrics into README.md")

// emitted returns all families that collectors can send, by name.
func emitted(t *testing.T) (all []*dto.MetricFamily) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, "r", 3, func(n *ringdht.Node) { openKeys(n) })
		tr.run(2, 100)
		rest()
		all = gather(t, gatherer(t, tr.collectors()...))
	})
	return all
}

// The prefixes; longer ones come first.
var prefixes = []struct{ prefix, of string }{{"ringdht_member_", "member"}, {"ringdht_node_", "node"}, {"ringdht_", "ring"}}

// split splits a family's name into its prefix and the rest.
func split(name string) (of, rest string) {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(name, p.prefix); ok {
			return p.of, rest
		}
	}
	return "", name
}

// list returns the table of the README. Families with the same name and meaning share a line.
func list(families []*dto.MetricFamily) string {
	type row struct{ name, kind, labels, help string }
	of := make(map[row][]string)
	for _, f := range families {
		who, name := split(f.GetName())
		labels := make(map[string][]string) // and their values
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if v := l.GetValue(); !slices.Contains(labels[l.GetName()], v) {
					labels[l.GetName()] = append(labels[l.GetName()], v)
				}
			}
		}
		var words []string
		for _, l := range []string{"bits", "plan", "service", "to"} {
			if labels[l] != nil {
				words = append(words, "`"+l+"`")
			}
		}
		for _, l := range []string{"direction", "kind", "reason", "stage", "state", "verdict"} {
			if labels[l] != nil && who+name != "memberstate" {
				words = append(words, "`"+l+"`: "+strings.Join(labels[l], ", "))
			} else if labels[l] != nil {
				words = append(words, "`"+l+"`")
			}
		}
		r := row{name, strings.ToLower(f.GetType().String()), strings.Join(words, "; "), f.GetHelp()}
		of[r] = append(of[r], who)
	}
	lines := []string{}
	for r, who := range of {
		slices.SortFunc(who, func(a, b string) int {
			return strings.Index("ring member node", a) - strings.Index("ring member node", b)
		})
		lines = append(lines, fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", r.name, strings.Join(who, ", "), r.kind, r.help, r.labels))
	}
	slices.Sort(lines)
	return "| name | of | type | meaning | labels |\n|---|---|---|---|---|\n" + strings.Join(lines, "")
}

// The table in README.md lists all metrics.
func TestReadme(t *testing.T) {
	const begin, end = "<!-- metrics -->\n", "<!-- /metrics -->\n"
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("no place for the table")
	}
	want := list(emitted(t))
	if *update {
		if err := os.WriteFile("README.md", []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != want {
		t.Errorf("the table in README.md is not what is emitted: go test -run Readme -update .")
		for line := range strings.Lines(want) {
			if !strings.Contains(have, line) {
				t.Errorf("missing: %s", line)
			}
		}
		for line := range strings.Lines(have) {
			if !strings.Contains(want, line) {
				t.Errorf("too much: %s", line)
			}
		}
	}
}
