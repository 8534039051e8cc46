package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// ours is the system that docs/performance.md is about.
const ours = "ringdht"

// dash stands for what was not measured.
const dash = "–"

// payloads are the columns of most tables, in bytes.
var payloads = []int{8, 256, 4096}

// Document writes the tables of docs/performance.md, with medians, and ratios within rounds.
// Lines of which nothing was measured are left out.
func Document(w io.Writer, sections []*Section) error {
	d := &document{sections: sections}
	d.b.WriteString(`- figures: medians of rounds. Ratios are medians of ratios within rounds, in brackets minimum and maximum.
`)
	d.trouble()
	d.headline()
	d.throughput()
	d.processorTime()
	d.delays()
	d.slower()
	d.aims()
	_, err := io.WriteString(w, d.b.String())
	return err
}

type document struct {
	sections []*Section
	b        strings.Builder
}

// find returns a row, and the section that it is in. They are nil if it was not measured.
func (d *document) find(section, name string) (*Section, *Row) {
	for _, s := range d.sections {
		for _, r := range s.Rows {
			if s.Title == section && r.Name == name {
				return s, r
			}
		}
	}
	return nil, nil
}

// between returns the ratio of two systems in a row.
func (d *document) between(section, row, system, other, metric string) Spread {
	s, r := d.find(section, row)
	if r == nil || s.Metric(metric) < 0 {
		return Of(nil)
	}
	return r.Between(system, other, s.Metric(metric))
}

// median returns the median of a system in a row, as a cell.
func (d *document) median(section, row, system, metric string) string {
	s, r := d.find(section, row)
	if r == nil || s.Metric(metric) < 0 {
		return dash
	}
	m := s.Metric(metric)
	return quantity(r.Of(system, m).Median, s.Metrics[m].Unit)
}

// title begins a table.
func (d *document) title(text string) { fmt.Fprintf(&d.b, "\n### %s\n\n", text) }

// table writes a table whose first cells are labels. Empty tables are left out.
func (d *document) table(labels int, head []string, lines [][]string) {
	lines = slices.DeleteFunc(lines, func(l []string) bool {
		return !slices.ContainsFunc(l[labels:], func(c string) bool { return c != dash })
	})
	if len(lines) == 0 {
		d.b.WriteString("Not measured.\n")
		return
	}
	d.lines(labels, head, lines)
}

// lines writes a table.
func (d *document) lines(labels int, head []string, lines [][]string) {
	line(&d.b, head)
	line(&d.b, slices.Repeat([]string{"---"}, len(head)))
	for _, l := range lines {
		if l[labels-1] == ours {
			l[labels-1] = "**" + ours + "**"
		}
		line(&d.b, l)
	}
}

// sizes appends a column for each payload.
func sizes(labels ...string) []string {
	for _, p := range payloads {
		labels = append(labels, fmt.Sprintf("%d B", p))
	}
	return labels
}

// at names a row of a shape.
func at(shape string, payload int) string { return fmt.Sprintf("%s, %d B", shape, payload) }

// headline has the ratios that the page begins with.
func (d *document) headline() {
	d.title("ringdht's messages a second, divided by those of (more is better for ringdht)")
	var lines [][]string
	for _, l := range []struct{ label, section, shape, system string }{
		{"a relay by hand: source, relay, sink", "Chains", "chain of 3", "relay by hand"},
		{"the same with stretches", "Chains", "chain of 3", "relay by hand, stretches"},
		{"the ideal ring by hand: ten nodes, all to all", "Rings", "ring of 10", "ideal ring"},
		{"the same with stretches", "Rings", "ring of 10", "ideal ring, stretches"},
		{"the ideal ring by hand: 100 nodes", "Rings", "ring of 100", "ideal ring"},
		{"the same with stretches", "Rings", "ring of 100", "ideal ring, stretches"},
		{"NATS core: ten nodes", "Rings", "ring of 10", "NATS core"},
		{"NATS core, GOGC=800: ten nodes", "Rings", "ring of 10", "NATS core, GOGC=800"},
		{"NATS core: 100 nodes", "Rings", "ring of 100", "NATS core"},
		{"NATS core, GOGC=800: 100 nodes", "Rings", "ring of 100", "NATS core, GOGC=800"},
		{"NATS core: ten nodes, a process each", "A process per node", "ring of 10", "NATS core"},
		{"NATS core, GOGC=800: ten nodes, a process each", "A process per node", "ring of 10", "NATS core, GOGC=800"},
		{"NATS JetStream: ten nodes", "Rings", "ring of 10", "NATS JetStream"},
		{"NATS JetStream, batched: ten nodes", "Rings", "ring of 10", "NATS JetStream, batched"},
		{"NATS JetStream, batched, GOGC=800: ten nodes", "Rings", "ring of 10", "NATS JetStream, batched, GOGC=800"},
		{"libp2p streams: ten nodes", "Rings", "ring of 10", "libp2p streams"},
		{"gRPC streams: ten nodes", "Rings", "ring of 10", "gRPC streams"},
		{"gRPC streams, batched: ten nodes", "Rings", "ring of 10", "gRPC streams, batched"},
	} {
		cells := []string{l.label}
		for _, p := range payloads {
			cells = append(cells, quantity(d.between(l.section, at(l.shape, p), ours, l.system, "msg/s").Median, times))
		}
		lines = append(lines, cells)
	}
	d.table(1, sizes(""), lines)
}

// systems returns the systems of the rows of a section that have a shape.
func (d *document) systems(section, shape string) (names []string) {
	for _, p := range payloads {
		if _, r := d.find(section, at(shape, p)); r != nil {
			for _, s := range r.Series {
				if !slices.Contains(names, s.System) {
					names = append(names, s.System)
				}
			}
		}
	}
	return names
}

// byPayload returns a line for each system of a shape.
func (d *document) byPayload(section, shape, metric string, labels ...string) (lines [][]string) {
	for _, system := range d.systems(section, shape) {
		cells := append(slices.Clone(labels), system)
		for _, p := range payloads {
			cells = append(cells, d.median(section, at(shape, p), system, metric))
		}
		lines = append(lines, cells)
		for i := range labels {
			labels[i] = "" // once is enough
		}
	}
	return lines
}

func (d *document) throughput() {
	d.title("Messages a second through one relay: source, relay, sink (more is better)")
	d.table(1, sizes(""), d.byPayload("Chains", "chain of 3", "msg/s"))
	d.title("Messages a second over one hop (more is better)")
	d.table(1, sizes(""), d.byPayload("Chains", "chain of 2", "msg/s"))
	d.title("Messages a second all to all (more is better)")
	lines := d.byPayload("Rings", "ring of 10", "msg/s", "10")
	lines = append(lines, d.byPayload("A process per node", "ring of 10", "msg/s", "10, a process each")...)
	lines = append(lines, d.byPayload("Rings", "ring of 32", "msg/s", "32")...)
	lines = append(lines, d.byPayload("Rings", "ring of 100", "msg/s", "100")...)
	d.table(2, sizes("nodes", ""), lines)
}

func (d *document) processorTime() {
	d.title("Processor time of all nodes and servers, in seconds per million messages (less is better)")
	const cpu = "CPU s per million"
	lines := d.byPayload("Chains", "chain of 2", cpu, "one hop")
	lines = append(lines, d.byPayload("Chains", "chain of 3", cpu, "one relay")...)
	lines = append(lines, d.byPayload("Rings", "ring of 10", cpu, "10 nodes")...)
	lines = append(lines, d.byPayload("A process per node", "ring of 10", cpu, "10, a process each")...)
	lines = append(lines, d.byPayload("Rings", "ring of 100", cpu, "100 nodes")...)
	d.table(2, sizes("", ""), lines)
}
