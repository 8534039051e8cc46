// Package table lays out text in aligned columns.
package table

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// gap is what stands between two columns.
const gap = "  "

// Column is a column's heading and alignment.
type Column struct {
	heading string
	right   bool
}

// Left is a column of names, aligned on the left.
func Left(heading string) Column { return Column{heading, false} }

// Right is a column of numbers, aligned on the right.
func Right(heading string) Column { return Column{heading, true} }

// Table gathers rows. A table whose headings are all empty has no heading line.
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

// Row adds a row. Cells are formatted as by [fmt.Print], without control characters;
// cells beyond the columns are a mistake and panic, missing ones are empty.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(t.columns))
	for i, c := range cells {
		row[i] = Plain(fmt.Sprint(c))
	}
	t.rows = append(t.rows, row)
}

// Plain is a line without what would move the cursor, or turn round the order of what is
// read: some of it comes from other machines.
func Plain(text string) string { return strings.Map(plain, text) }

// PlainLines is the same for text of several lines.
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

// String is the table, each row a line. No line ends with a space.
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
