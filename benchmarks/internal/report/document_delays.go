package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/x/ringdht/benchmarks/internal/load"
)

func (d *document) delays() {
	const section, hop, relay = "Ping-pong", "chain of 2, 8 B", "chain of 3, 8 B"
	d.title("Round trip of one 8-byte message (less is better)")
	var lines [][]string
	seen := make(map[string]bool)
	for _, row := range []string{hop, relay} {
		_, r := d.find(section, row)
		if r == nil {
			continue
		}
		for _, s := range r.Series {
			label := s.System
			switch label {
			case "raw", "relay by hand":
				label = "by hand"
			case "raw, stretches", "relay by hand, stretches":
				continue // one message at a time is none
			}
			if seen[label] {
				continue
			}
			seen[label] = true
			first, second := s.System, s.System
			if label == "by hand" {
				first, second = "raw", "relay by hand"
			}
			lines = append(lines, []string{label,
				d.median(section, hop, first, "p50"), d.median(section, hop, first, "p99"),
				d.median(section, relay, second, "p50"), d.median(section, relay, second, "p99")})
		}
	}
	d.table(1, []string{"", "one hop: p50", "p99", "through a relay: p50", "p99"}, lines)

	d.title("Ten nodes at a given rate: p50 and p99 from when a message fell due (less is better), and the rate that was carried")
	systems := []string{"ideal ring", ours, "NATS core", "NATS core, GOGC=800"}
	lines = nil
	for _, s := range d.sections {
		if s.Title != "Open loop" {
			continue
		}
		for _, r := range s.Rows {
			cells := []string{strings.TrimPrefix(r.Name, "ring of 10, ")}
			for _, system := range systems {
				cells = append(cells, fmt.Sprintf("%s, %s, %s", d.median(s.Title, r.Name, system, "p50"),
					d.median(s.Title, r.Name, system, "p99"), d.median(s.Title, r.Name, system, "carried msg/s")))
			}
			lines = append(lines, cells)
		}
	}
	d.table(1, append([]string{"offered"}, systems...), lines)
}

// noise is how much slower something must be to be listed as such.
const noise = 1.05

// slower lists where a system that is no reference does better, in messages a second, in a
// delay or in processor time.
func (d *document) slower() {
	d.title("Where ringdht does worse than a system that is not by hand")
	var lines [][]string
	compared := false
	for _, s := range d.sections {
		for _, r := range s.Rows {
			for _, series := range r.Series {
				name := series.System
				if name == r.Reference || name == ours || byHand(name) || r.series(ours) == nil {
					continue
				}
				compared = true
				for m, metric := range s.Metrics {
					ratio := r.Between(ours, name, m)
					if worse(metric, ratio.Median) {
						lines = append(lines, []string{name, s.Title + ": " + r.Name, metric.Name, cell(ratio, times)})
					}
				}
			}
		}
	}
	switch {
	case !compared:
		d.b.WriteString("Not measured.\n")
	case len(lines) == 0:
		d.b.WriteString("Nowhere.\n")
	default:
		d.lines(3, []string{"against", "where", "what", "ringdht's, divided by its"}, lines)
	}
}

// worse reports whether a ratio to another system is worse by more than the noise.
func worse(m load.Metric, ratio float64) bool {
	switch m.Name {
	case "msg/s", "carried msg/s":
		return ratio < 1/noise
	case "p50", "p99", "CPU s per million":
		return ratio > noise
	}
	return false
}

// trouble says what was lost, and which rounds failed: other tables do not show it.
func (d *document) trouble() {
	d.title("Lost messages, and rounds that failed")
	const lost = "lost"
	var lines [][]string
	for _, s := range d.sections {
		for _, r := range s.Rows {
			for _, series := range r.Series {
				failed := 0
				for _, err := range series.Errs {
					if err != nil {
						failed++
					}
				}
				part := Of(nil)
				if m := s.Metric(lost); m >= 0 {
					part = Of(series.Values(m))
				}
				if failed > 0 || quantity(part.Max, load.Part) != quantity(0, load.Part) && !math.IsNaN(part.Max) {
					lines = append(lines, []string{series.System, s.Title + ": " + r.Name, cell(part, load.Part), fmt.Sprintf("%d of %d", failed, len(series.Errs))})
				}
			}
		}
	}
	if len(lines) == 0 {
		d.b.WriteString("None: every system delivered every message in every round.\n")
		return
	}
	d.lines(2, []string{"system", "where", "lost", "rounds that failed"}, lines)
}

// byHand reports whether a system is a reference.
func byHand(name string) bool {
	for _, reference := range []string{"raw", "relay by hand", "by hand", "ideal ring"} {
		if strings.HasPrefix(name, reference) {
			return true
		}
	}
	return false
}
