package report

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/x/ringdht/benchmarks/internal/load"
)

func TestSpread(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{5, 1, 3}, Spread{3, 1, 5}},
		{[]float64{8, 1, 3, 4}, Spread{3.5, 1, 8}},
		{[]float64{nan, 2, nan}, Spread{2, 2, 2}},
	} {
		if got := Of(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
	if got := Of([]float64{nan}); !math.IsNaN(got.Median) || !math.IsNaN(got.Min) || !math.IsNaN(got.Max) {
		t.Errorf("of nothing: %v", got)
	}
}

// An effect on both sides in a round cancels out.
func TestRatiosAreTakenWithinRounds(t *testing.T) {
	row := Row{Reference: "ref", Series: []*Series{{System: "ref"}, {System: "sys"}}}
	for _, r := range [][2]float64{{100, 50}, {10, 5}, {8, 4}} {
		row.Series[0].Add([]float64{r[0]}, nil)
		row.Series[1].Add([]float64{r[1]}, nil)
	}
	if got := row.Ratio("sys", 0); got != (Spread{0.5, 0.5, 0.5}) {
		t.Errorf("got %v", got)
	}
	row.Series[0].Add(nil, errors.New("broken"))
	row.Series[1].Add([]float64{7}, nil)
	row.Series[0].Add([]float64{0}, nil)
	row.Series[1].Add([]float64{7}, nil)
	if got := row.Ratio("sys", 0); got != (Spread{0.5, 0.5, 0.5}) {
		t.Errorf("with rounds that failed: got %v", got)
	}
	if got := row.Ratio("nobody", 0); !math.IsNaN(got.Median) {
		t.Errorf("of nobody: %v", got)
	}
}

func TestQuantity(t *testing.T) {
	for _, c := range []struct {
		v    float64
		u    load.Unit
		want string
	}{
		{28_630_000, load.PerSecond, "28.6 M"}, {410_000, load.PerSecond, "410 k"}, {12, load.PerSecond, "12.0"},
		{16.4e-6, load.Duration, "16.4 µs"}, {0.0123, load.Duration, "12.3 ms"}, {2, load.Duration, "2.00 s"},
		{0, load.Part, "0"}, {0.235, load.Part, "23.5 %"}, {0.0004, load.Part, "0.040 %"},
		{0.0456, load.CPU, "0.046"}, {math.NaN(), load.PerSecond, "–"}, {0.5, times, "0.50"},
	} {
		if got := quantity(c.v, c.u); got != c.want {
			t.Errorf("%v: %q, want %q", c.v, got, c.want)
		}
	}
}

// example is a section with two rows. One round of one row failed.
func example() *Section {
	s := &Section{Title: "Chains", Note: "What it shows.", X: "payload, bytes", Metrics: load.Closed{}.Metrics()}
	for _, payload := range []float64{8, 256} {
		row := &Row{Name: "chain of 2, " + digits(payload) + " B", Group: "chain of 2", X: payload, Reference: "raw"}
		for i, system := range []string{"raw", "ringdht"} {
			series := &Series{System: system}
			series.Add([]float64{40e6 / payload / float64(i+1), 0.05, 0}, nil)
			series.Add([]float64{80e6 / payload / float64(i+1), 0.05, 0}, nil)
			row.Series = append(row.Series, series)
		}
		s.Rows = append(s.Rows, row)
	}
	s.Rows[0].Series[1].Add(nil, errors.New("broken, badly"))
	return s
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	if err := Markdown(&b, []*Section{example()}); err != nil {
		t.Fatal(err)
	}
	const want = `
## Chains

What it shows.

|  | system | msg/s | ratio | CPU s per million | ratio | lost |
| --- | --- | --- | --- | --- | --- | --- |
| chain of 2, 8.00 B | raw | 7.50 M (5.00 M to 10.0 M) | 1 | 0.050 | 1 | 0 |
|  | ringdht | 3.75 M (2.50 M to 5.00 M) | 0.50 | 0.050 | 1.00 | 0 |
| chain of 2, 256 B | raw | 234 k (156 k to 312 k) | 1 | 0.050 | 1 | 0 |
|  | ringdht | 117 k (78.1 k to 156 k) | 0.50 | 0.050 | 1.00 | 0 |
`
	if b.String() != want {
		t.Errorf("got:%s\nwant:%s", b.String(), want)
	}
}

func TestCSV(t *testing.T) {
	var b strings.Builder
	open := &Section{Title: "Open loop", Metrics: load.Open{}.Metrics()}
	if err := CSV(&b, []*Section{example(), open}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if want := "section,row,system,reference,round,error,msg/s,CPU s per million,lost,carried msg/s,p50,p99,p99.9,p99 since Send"; lines[0] != want {
		t.Errorf("%q, want %q", lines[0], want)
	}
	if len(lines) != 10 {
		t.Errorf("%d lines, want one for each of 9 rounds, and the first", len(lines))
	}
	if want := `Chains,"chain of 2, 8.00 B",ringdht,raw,3,"broken, badly",,,,,,,,`; lines[5] != want {
		t.Errorf("%q, want %q", lines[5], want)
	}
}

func TestPlots(t *testing.T) {
	s := example()
	plots := s.Plots()
	if len(plots) != 1 {
		t.Fatalf("%d plots, want that of messages a second", len(plots))
	}
	if want := "chains-chain-of-2-msg-per-s.svg"; plots[0].File() != want {
		t.Errorf("%q, want %q", plots[0].File(), want)
	}
	var b strings.Builder
	if err := plots[0].SVG(&b); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"<svg", ">\u00a0raw", ">\u00a0ringdht", "payload, bytes"} {
		if !strings.Contains(b.String(), word) {
			t.Errorf("there is no %q in the picture", word)
		}
	}
	s.Rows = s.Rows[:1]
	if got := s.Plots(); got != nil {
		t.Error("a plot of a single row")
	}
}
