package report

import (
	"fmt"
	"strings"
)

func (d *document) delays() {
	const section, hop, relay = "Ping-pong", "chain of 2, 8 B", "chain of 3, 8 B"
	d.title("Round trip of one 8-byte message")
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

	d.title("Ten nodes at a given rate: p50, p99 from when a message fell due, and what was carried")
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

// slower lists where a system that is no reference does better, in messages a second or in a
// delay.
func (d *document) slower() {
	d.title("Where ringdht is slower than a system that is not by hand")
	var lines [][]string
	for _, s := range d.sections {
		for _, r := range s.Rows {
			for _, series := range r.Series {
				name := series.System
				if name == r.Reference || byHand(name) || r.series(ours) == nil {
					continue
				}
				for m, metric := range s.Metrics {
					ratio := r.Between(ours, name, m)
					switch metric.Name {
					case "msg/s":
						if !(ratio.Median < 1/noise) {
							continue
						}
					case "p50", "p99":
						if !(ratio.Median > noise) {
							continue
						}
					default:
						continue
					}
					lines = append(lines, []string{name, s.Title + ": " + r.Name, metric.Name, cell(ratio, times)})
				}
			}
		}
	}
	d.table(3, []string{"against", "where", "what", "ringdht's, divided by its"}, lines)
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
