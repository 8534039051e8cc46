// Package watch formats live views of a ring or a node, as text for a terminal of any size.
// It reads no clock and prints nothing.
package watch

import (
	"strings"

	"github.com/x/ringdht/examples/internal/table"
)

// history holds a rate over the past seconds, the latest last.
type history []float64

// maxHistory bounds it; no sparkline is longer.
const maxHistory = 120

func (h *history) add(f float64) {
	if *h = append(*h, f); len(*h) > maxHistory {
		*h = append((*h)[:0], (*h)[1:]...)
	}
}

var bars = []rune("▁▂▃▄▅▆▇█")

// spark draws the end of a history. Any rate above zero gets at least the lowest bar.
func spark(h history, width int) string {
	h = h[max(0, len(h)-max(0, width)):]
	most := 0.0
	for _, f := range h {
		most = max(most, f)
	}
	var b strings.Builder
	for _, f := range h {
		switch {
		case f <= 0:
			b.WriteByte(' ')
		default:
			b.WriteRune(bars[min(len(bars)-1, int(f/most*float64(len(bars))))])
		}
	}
	return b.String()
}

// progress draws a progress bar.
func progress(done, of int64, width int) string {
	if of <= 0 || width < 3 {
		return ""
	}
	full := int(min(max(done, 0), of) * int64(width-2) / of)
	return "[" + strings.Repeat("█", full) + strings.Repeat("░", width-2-full) + "]"
}

// joined joins as many parts as fit into a line, the first parts first.
func joined(width int, parts ...string) string {
	line := ""
	for _, p := range parts {
		if p == "" {
			continue
		}
		longer := p
		if line != "" {
			longer = line + " · " + p
		}
		if line != "" && length(longer) > width {
			break
		}
		line = longer
	}
	return line
}

// lines splits a text that ends with a line end.
func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

func length(line string) int { return len([]rune(line)) }

// fitted formats a table within a width, and a line more unless it is empty.
func fitted(t *table.Table, width int, more string) []string {
	text, _ := t.Fit(width)
	return lines(text + more)
}

// clip cuts lines to a width, and marks the cuts.
func clip(all []string, width int) []string {
	for i, l := range all {
		r := []rune(strings.TrimRight(table.Plain(l), " "))
		if len(r) > width {
			r = append(r[:max(0, width-1)], '…')
		}
		all[i] = string(r)
	}
	return all
}

// stacked puts parts on top of each other, with empty lines between them if there is room,
// and last at the bottom.
func stacked(rows int, last string, parts ...[]string) []string {
	needed := 0
	for _, p := range parts {
		if len(p) > 0 {
			needed += len(p) + 1
		}
	}
	var lines []string
	for _, p := range parts {
		if len(p) > 0 && len(lines) > 0 && needed <= rows {
			lines = append(lines, "")
		}
		lines = append(lines, p...)
	}
	lines = lines[:min(len(lines), max(0, rows-1))]
	for len(lines) < rows-1 {
		lines = append(lines, "")
	}
	return append(lines, last)
}
