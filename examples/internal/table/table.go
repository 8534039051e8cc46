// Package table formats text in aligned columns, within a width.
package table

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// gap separates two columns. narrow does so in a table that has no room for it.
const gap, narrow = 2, 1

// Column is the heading and the alignment of a column.
type Column struct {
	heading string // its lines are rows of headings
	right   bool
	wraps   bool
	rank    int
}

// Left returns a column for names, aligned left.
func Left(heading string) Column { return Column{heading: heading} }

// Right returns a column for numbers, aligned right.
func Right(heading string) Column { return Column{heading: heading, right: true} }

// Text returns a column for sentences, which wrap. It must be the last column.
func Text(heading string) Column { return Column{heading: heading, wraps: true} }

// Rank returns the column with a rank. If there is no room, columns of the highest rank are left
// out first. A column of rank 0 stays.
func (c Column) Rank(rank int) Column {
	c.rank = rank
	return c
}

// Table holds rows. It has no headings if all of them are empty.
type Table struct {
	columns []Column
	rows    [][]string
}

// New returns a table without rows.
func New(columns ...Column) *Table { return &Table{columns: columns} }

// Row adds a row. Cells are formatted as by [fmt.Print], without control characters. Missing
// cells are empty; more cells than columns panic.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(t.columns))
	for i, c := range cells {
		row[i] = Plain(fmt.Sprint(c))
	}
	t.rows = append(t.rows, row)
}

// String returns the table, a line for each row. No line ends with a space.
func (t *Table) String() string { return t.layout(t.all(), gap).format(0) }

// Fits reports whether all columns fit a width, with the usual gaps. Sentences do: they wrap.
func (t *Table) Fits(width int) bool { return width <= 0 || t.layout(t.all(), gap).least() <= width }

// Fit returns the table within a width, as far as it can: it wraps sentences, leaves out columns
// that have a rank, narrows the gaps, and at last stacks the cells of each row. It also returns
// the headings of the columns that it left out. With width 0 it is [Table.String].
func (t *Table) Fit(width int) (text string, without []string) {
	shown := t.all()
	l := t.layout(shown, gap)
	for width > 0 && l.least() > width {
		last := slices.MaxFunc(shown, func(a, b int) int { return t.columns[a].rank - t.columns[b].rank })
		if t.columns[last].rank == 0 {
			if l = t.layout(shown, narrow); l.least() > width && len(shown) > 1 {
				return l.stacked(width), t.without(shown)
			}
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return i == last })
		l = t.layout(shown, gap)
	}
	return l.format(width), t.without(shown)
}

// without returns the headings of the columns that are not shown.
func (t *Table) without(shown []int) (headings []string) {
	for i, c := range t.columns {
		if !slices.Contains(shown, i) {
			headings = append(headings, strings.ReplaceAll(c.heading, "\n", " "))
		}
	}
	return headings
}

// all returns the indices of all columns.
func (t *Table) all() []int {
	all := make([]int, len(t.columns))
	for i := range all {
		all[i] = i
	}
	return all
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
