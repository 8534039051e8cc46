package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Markdown writes the tables: medians, and in brackets minimum and maximum.
func Markdown(w io.Writer, sections []*Section) error {
	for _, s := range sections {
		if err := s.markdown(w); err != nil {
			return err
		}
	}
	return nil
}

func (s *Section) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", s.Title, s.Note)
	head := []string{"", "system"}
	for _, m := range s.Metrics {
		head = append(head, m.Name)
		if m.Compare {
			head = append(head, "ratio")
		}
	}
	line(&b, head)
	line(&b, slices.Repeat([]string{"---"}, len(head)))
	for _, row := range s.Rows {
		name := row.Name
		for _, series := range row.Series {
			cells := []string{name, series.System}
			name = ""
			for i, m := range s.Metrics {
				cells = append(cells, cell(Of(series.Values(i)), m.Unit))
				if m.Compare {
					cells = append(cells, row.ratioCell(series.System, i))
				}
			}
			line(&b, cells)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Row) ratioCell(system string, metric int) string {
	ratio := r.Ratio(system, metric)
	switch {
	case system == r.Reference:
		return "1"
	case math.IsNaN(ratio.Median):
		return ""
	}
	return cell(ratio, times)
}

func line(b *strings.Builder, cells []string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}
