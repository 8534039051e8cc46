package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/load"
	"github.com/x/ringdht/benchmarks/internal/process"
	"github.com/x/ringdht/benchmarks/internal/report"
)

func TestMain(m *testing.M) {
	process.Main(systems)
	os.Exit(m.Run())
}

var every = regexp.MustCompile("")

// Every row has a unique name, a reference by hand, and ringdht.
func TestPlan(t *testing.T) {
	r := runner{systems: systems, only: every, which: every}
	references := map[string]bool{"raw": true, "relay by hand": true, "ideal ring": true}
	seen := make(map[string]bool)
	for _, s := range plan(full) {
		for _, row := range s.rows {
			name := s.rowName(row)
			if seen[name] {
				t.Errorf("there are two rows %q", name)
			}
			seen[name] = true
			of := r.of(s, row)
			if s.title == "Calls" {
				if of[0].name != "raw TCP ping-pong" || of[1].name != "ringdht rpc" {
					t.Errorf("%s: %v", name, of)
				}
				continue
			}
			if s.title == "Broadcast" {
				if of[0].name != "ringdht topic" || of[1].name != "NATS publish" {
					t.Errorf("%s: %v", name, of)
				}
				continue
			}
			if row.entrants != nil {
				if of[0].name != "ringdht, 10 nodes" || of[1].name != "ringdht, 100 nodes" || of[1].topology.Nodes != 100 {
					t.Errorf("%s: %v", name, of)
				}
				continue
			}
			after := 2 // the reference, and with stretches
			if s.delays {
				after++ // the other reference
			}
			if len(of) <= after || !references[of[0].name] || of[after-1].name != of[0].name+", stretches" ||
				of[after].name != "ringdht" {
				t.Errorf("%s: %v", name, of)
			}
		}
	}
}

// A command line that could not mean anything is an error, and says what to do.
func TestSensible(t *testing.T) {
	type flags map[string]bool
	for _, c := range []struct {
		set    flags
		args   []string
		rounds int
		d      time.Duration
		warm   time.Duration
		want   string
	}{
		{nil, nil, 5, time.Second, 0, ""},
		{flags{"doc": true, "quick": true, "only": true, "out": true}, nil, 5, time.Second, 0, ""},
		{nil, []string{"quick"}, 5, time.Second, 0, `"quick"`},
		{nil, nil, 0, time.Second, 0, "-rounds 0"},
		{nil, nil, 1, 0, 0, "-time 0s"},
		{nil, nil, 1, time.Second, -1, "-warm"},
		{flags{"guard": true, "rounds": true}, nil, 9, time.Second, 0, "leave out"},
		{flags{"quick": true, "time": true}, nil, 5, time.Minute, 0, "leave out"},
	} {
		err := sensible(c.set, c.args, c.rounds, c.d, c.warm)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// Expressions that match nothing are errors: an empty table would replace the last results.
func TestNothingToMeasure(t *testing.T) {
	for _, c := range []struct{ only, which, want string }{
		{"", "", ""}, {"Chains: chain of 2, 8 B", "^ringdht$", ""}, {"Growth", "", ""},
		{"chain of 7", "", "-only"}, {"", "nosuch", "-systems"}, {"Chains: chain of 2", "NATS", "-systems"},
	} {
		r := runner{systems: systems, only: regexp.MustCompile(c.only), which: regexp.MustCompile(c.which)}
		err := r.check(plan(full))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// The command in the results can be typed again.
func TestCommand(t *testing.T) {
	if got := command([]string{"-doc", "-rounds=3", "-only", "Rings: ring of 10, 8 B", "-systems", "^ringdht$", "-out", "it's"}); got !=
		`go run . -doc -rounds=3 -only 'Rings: ring of 10, 8 B' -systems '^ringdht$' -out 'it'\''s'` {
		t.Errorf("it is %s", got)
	}
}

// No two systems of a row look the same in a plot.
func TestStyles(t *testing.T) {
	r := runner{systems: systems, only: every, which: every}
	for _, s := range plan(full) {
		for _, row := range s.rows {
			seen := make(map[int]string)
			for _, e := range r.of(s, row) {
				style := r.style(e.name)
				if other, ok := seen[style]; ok && s.title != "Growth" && !s.delays { // these have no plots
					t.Errorf("%s: %s looks like %s", s.rowName(row), e.name, other)
				}
				seen[style] = e.name
			}
		}
	}
}

// script is a load that plays back values.
type script struct {
	rounds map[string][]float64 // by system; 0 for a failure
	turns  *[]string
}

func (script) Metrics() []load.Metric { return load.PingPong{}.Metrics()[:1] }

func (s script) Run(_ context.Context, sys bench.System, _ bench.Topology) ([]float64, error) {
	*s.turns = append(*s.turns, sys.Name())
	v := s.rounds[sys.Name()][0]
	s.rounds[sys.Name()] = s.rounds[sys.Name()][1:]
	if v == 0 {
		return nil, errors.New("it failed")
	}
	return []float64{v}, nil
}

// Systems take turns, and each round starts with another one. A failure is a round without a
// value, and the exit status reports it.
func TestRunnerInterleaves(t *testing.T) {
	var turns []string
	l := script{map[string][]float64{"ideal ring": {2, 4, 8}, "ringdht": {4, 0, 24}}, &turns}
	s := &section{title: "Rings", load: l, rows: []row{
		{name: "one", topology: bench.Topology{Shape: bench.Ring, Nodes: 2, Payload: 8}},
	}}
	r := runner{systems: systems, only: every, which: regexp.MustCompile("^ringdht$"), rounds: 3, progress: io.Discard}
	done, ok := r.run(t.Context(), []*section{s})
	if ok {
		t.Error("it went well")
	}
	if got, want := strings.Join(turns, ","), "ideal ring,ringdht,ringdht,ideal ring,ideal ring,ringdht"; got != want {
		t.Errorf("turns %s, want %s", got, want)
	}
	row := done[0].Rows[0]
	if row.Reference != "ideal ring" {
		t.Errorf("the reference is %q", row.Reference)
	}
	if got := row.Ratio("ringdht", 0); got != (report.Spread{Median: 2.5, Min: 2, Max: 3}) {
		t.Errorf("ratio %v", got)
	}
}

// The whole path, from a row to the files.
func TestFiles(t *testing.T) {
	r := runner{systems: systems, only: regexp.MustCompile("Chains: chain of 2, (8|256) B"), which: regexp.MustCompile("^ringdht$"), rounds: 2, progress: io.Discard}
	tables, ok := r.run(t.Context(), plan(scope{payloads: []int{8, 256}, chains: []int{2}, warm: time.Millisecond, duration: 5 * time.Millisecond}))
	if !ok || len(tables) != 1 || len(tables[0].Rows) != 2 {
		t.Fatalf("%v, %v", tables, ok)
	}
	dir := t.TempDir()
	var out strings.Builder
	if err := publish(&out, dir, report.How{Command: "go run .", Rounds: 2}, tables, false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tables.md", "performance.md", "rounds.csv", "chains-chain-of-2-msg-per-s.svg"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(b) < 300 {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	if !strings.Contains(out.String(), "| chain of 2, 8 B | raw |") {
		t.Errorf("printed is\n%s", out.String())
	}
}

// The guard fails below either floor, and if there is nothing to compare.
func TestGuard(t *testing.T) {
	row := func(rate, cpu float64) *report.Row {
		r := &report.Row{Reference: "raw", Series: []*report.Series{{System: "raw"}, {System: "ringdht"}}}
		r.Series[0].Add([]float64{10, 10, 0}, nil)
		r.Series[1].Add([]float64{10 * rate, 10 * cpu, 0}, nil)
		return r
	}
	for _, c := range []struct {
		row  *report.Row
		fail int
	}{
		{row(0.5, 2), 0}, {row(0.9, 1), 0}, {row(0.49, 1), 1}, {row(0.9, 2.1), 1}, {row(0.1, 3), 2}, {&report.Row{}, 2},
	} {
		err, failed := below(c.row, 0.5, 2), 0
		if err != nil {
			failed = len(strings.Split(err.Error(), "\n"))
		}
		if failed != c.fail {
			t.Errorf("%d failures, want %d: %v", failed, c.fail, err)
		}
	}
}
