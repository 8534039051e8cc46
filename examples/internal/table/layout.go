package table

import "strings"

// Sentences stand beside the other columns if there is room for leastText characters, or for
// the whole of each. Otherwise they stand below, indented.
const leastText, indent = 24, 4

// layout is a table with some of its columns.
type layout struct {
	columns  []Column
	headings int // rows of headings, the first ones
	rows     [][]string
	widths   []int
	gap      int
}

func (t *Table) layout(shown []int, gap int) *layout {
	l := &layout{gap: gap, widths: make([]int, len(shown))}
	for _, i := range shown {
		l.columns = append(l.columns, t.columns[i])
	}
	l.addHeadings()
	for _, row := range t.rows {
		cells := make([]string, len(shown))
		for i, c := range shown {
			cells[i] = row[c]
		}
		l.rows = append(l.rows, cells)
	}
	for _, row := range l.rows {
		for i, cell := range row {
			l.widths[i] = max(l.widths[i], Cells(cell))
		}
	}
	return l
}

// addHeadings adds the rows of headings. A heading of fewer lines stands at the bottom.
func (l *layout) addHeadings() {
	any := false
	for _, c := range l.columns {
		l.headings = max(l.headings, 1+strings.Count(c.heading, "\n"))
		any = any || c.heading != ""
	}
	if !any {
		l.headings = 0
	}
	l.rows = make([][]string, l.headings)
	for n := range l.rows {
		l.rows[n] = make([]string, len(l.columns))
	}
	for i, c := range l.columns {
		lines := strings.Split(c.heading, "\n")
		for n, line := range lines {
			if l.headings > 0 {
				l.rows[l.headings-len(lines)+n][i] = line
			}
		}
	}
}

// wraps reports whether the last column does.
func (l *layout) wraps() bool { return len(l.columns) > 0 && l.columns[len(l.columns)-1].wraps }

// least returns the width of the columns that do not wrap.
func (l *layout) least() int {
	widths := l.widths
	if l.wraps() {
		widths = widths[:len(widths)-1]
	}
	least := l.gap * max(0, len(widths)-1)
	for _, w := range widths {
		least += w
	}
	return least
}

// width returns the width of the table if nothing wraps.
func (l *layout) width() int {
	if !l.wraps() {
		return l.least()
	}
	return l.textStart() + l.widths[len(l.widths)-1]
}

// textStart returns where sentences start beside the other columns.
func (l *layout) textStart() int {
	if len(l.columns) == 1 {
		return 0
	}
	return l.least() + l.gap
}

// format formats the table. With width 0 nothing wraps.
func (l *layout) format(width int) string {
	var b strings.Builder
	write := func(line string) {
		b.WriteString(strings.TrimRight(line, " "))
		b.WriteByte('\n')
	}
	start := l.textStart()
	beside := !l.wraps() || width <= 0 || l.width() <= width || start == 0 || width-start >= leastText
	for i, row := range l.rows {
		line := l.line(row)
		text := ""
		if l.wraps() {
			text = row[len(row)-1]
		}
		switch {
		case text == "":
			write(line)
		case !beside:
			write(line)
			if i < l.headings { // it would stand alone
				continue
			}
			for _, part := range sentence(text, width-indent) {
				write(strings.Repeat(" ", indent) + part)
			}
		case width <= 0:
			write(line + text)
		default:
			for _, part := range sentence(text, width-start) {
				write(line + part)
				line = strings.Repeat(" ", start)
			}
		}
	}
	return b.String()
}

// sentence breaks a sentence into lines of at most width cells. Longer words are broken, too.
func sentence(text string, width int) (lines []string) {
	width = max(2, width) // a character may take two cells
	for line := range strings.SplitSeq(Wrap(text, width), "\n") {
		for Cells(line) > width {
			first := Cut(line, width)
			lines, line = append(lines, first), line[len(first):]
		}
		lines = append(lines, line)
	}
	return lines
}

// line formats the cells of a row that do not wrap, up to where sentences start.
func (l *layout) line(row []string) string {
	var line strings.Builder
	for i, cell := range row {
		if i > 0 {
			line.WriteString(strings.Repeat(" ", l.gap))
		}
		if l.columns[i].wraps {
			break
		}
		pad := strings.Repeat(" ", l.widths[i]-Cells(cell))
		if l.columns[i].right {
			line.WriteString(pad + cell)
		} else {
			line.WriteString(cell + pad)
		}
	}
	return line.String()
}

// stacked formats the table with a line for each cell: its heading, and then the cell. Empty cells
// are left out.
func (l *layout) stacked(width int) string {
	t := New(Left(""), Text(""))
	var rows []string
	for _, row := range l.rows[l.headings:] {
		t.rows = nil
		for i, cell := range row {
			if cell != "" {
				t.Row(strings.ReplaceAll(l.columns[i].heading, "\n", " "), cell)
			}
		}
		rows = append(rows, t.layout(t.all(), gap).format(width))
	}
	return strings.Join(rows, "\n")
}
