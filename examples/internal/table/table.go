// Package table formats text in aligned columns.
package table

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// gap separates two columns.
const gap = "  "

// Column is the heading and the alignment of a column.
type Column struct {
	heading string
	right   bool
}

// Left returns a column for names, aligned left.
func Left(heading string) Column { return Column{heading, false} }

// Right returns a column for numbers, aligned right.
func Right(heading string) Column { return Column{heading, true} }

// Table holds rows. It has no heading line if all headings are empty.
type Table struct {
	columns []Column
	rows    [][]string
}

// New returns a table without rows.
func New(columns ...Column) *Table {
	t := &Table{columns: columns}
	headings := make([]string, len(columns))
	any := false
	for i, c := range columns {
		headings[i] = c.heading
		any = any || c.heading != ""
	}
	if any {
		t.rows = append(t.rows, headings)
	}
	return t
}

// Row adds a row. Cells are formatted as by [fmt.Print], without control characters. Missing
// cells are empty; more cells than columns panic.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(t.columns))
	for i, c := range cells {
		row[i] = Plain(fmt.Sprint(c))
	}
	t.rows = append(t.rows, row)
}

// Plain returns a line without characters that move the cursor or reverse the order of the
// text, since part of the text comes from other machines.
func Plain(text string) string { return strings.Map(plain, text) }

// PlainLines is Plain for several lines.
func PlainLines(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return plain(r)
	}, text)
}

func plain(r rune) rune {
	if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
		return '\ufffd'
	}
	return r
}

// String returns the table, a line for each row. No line ends with a space.
func (t *Table) String() string {
	widths := make([]int, len(t.columns))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString(gap)
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.columns[i].right {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	return b.String()
}
