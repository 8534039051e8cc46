package drive

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/x/ringdht/examples/internal/table"
)

// picture is what a terminal shows: a small emulator of xterm, with the sequences that the
// programs use. It counts sequences that it does not know.
type picture struct {
	columns, rows int
	cells         [][]string // a row for each line; a wide character has an empty cell after it
	row, column   int
	wrapping      bool     // the last column was written: the next character begins a row
	gone          []string // lines that were scrolled out at the top
	saved         *picture // the screen below the alternate one
	unknown       []string
	rest          []byte // an incomplete sequence or character
}

func newPicture(columns, rows int) *picture {
	p := &picture{}
	p.resize(columns, rows)
	return p
}

// resize cuts or pads at the right and at the bottom, as xterm does. Rows that the cursor
// needs at the bottom push others out at the top.
func (p *picture) resize(columns, rows int) {
	columns, rows = max(columns, 1), max(rows, 1)
	for p.row >= rows {
		p.scroll()
		p.row--
	}
	p.columns, p.rows = columns, rows
	for len(p.cells) < rows {
		p.cells = append(p.cells, nil)
	}
	p.cells = p.cells[:rows]
	for i, row := range p.cells {
		for len(row) < columns {
			row = append(row, " ")
		}
		p.cells[i] = row[:columns]
	}
	p.column, p.wrapping = min(p.column, columns-1), false
	if p.saved != nil {
		p.saved.resize(columns, rows)
	}
}

func (p *picture) scroll() {
	if p.saved == nil {
		p.gone = append(p.gone, line(p.cells[0]))
	}
	p.cells = append(p.cells[1:], p.empty())
}

func (p *picture) empty() []string {
	row := make([]string, p.columns)
	for i := range row {
		row[i] = " "
	}
	return row
}

func line(cells []string) string { return strings.TrimRight(strings.Join(cells, ""), " ") }

// lines returns the lines of the screen, without spaces at their ends, up to the last that is
// not empty or has the cursor.
func (p *picture) lines() []string {
	var all []string
	used := p.row + 1
	for i, cells := range p.cells {
		all = append(all, line(cells))
		if all[i] != "" {
			used = max(used, i+1)
		}
	}
	return all[:used]
}

func (p *picture) write(b []byte) {
	b = append(p.rest, b...)
	for len(b) > 0 {
		n := p.one(b)
		if n == 0 {
			break
		}
		b = b[n:]
	}
	p.rest = append([]byte(nil), b...)
}

// one draws the first character or sequence. It returns its length, or 0 if it is incomplete.
func (p *picture) one(b []byte) int {
	switch c := b[0]; {
	case c == 0x1b:
		return p.sequence(b)
	case c == '\r':
		p.column, p.wrapping = 0, false
	case c == '\n':
		p.wrapping = false
		p.down()
	case c == '\b':
		p.column, p.wrapping = max(0, p.column-1), false
	case c < ' ' || c == 0x7f:
		p.unknown = append(p.unknown, strconv.Quote(string(c)))
	case !utf8.FullRune(b):
		return 0
	default:
		r, n := utf8.DecodeRune(b)
		p.draw(string(r))
		return n
	}
	return 1
}

func (p *picture) down() {
	if p.row == p.rows-1 {
		p.scroll()
	} else {
		p.row++
	}
}

func (p *picture) draw(text string) {
	width := table.Cells(text)
	if width == 0 {
		if p.column > 0 {
			p.cells[p.row][p.column-1] += text
		}
		return
	}
	if p.wrapping || p.column+width > p.columns {
		p.down()
		p.column, p.wrapping = 0, false
	}
	p.cells[p.row][p.column] = text
	if width == 2 && p.column+1 < p.columns {
		p.cells[p.row][p.column+1] = ""
	}
	if p.column += width; p.column >= p.columns {
		p.column, p.wrapping = p.columns-1, true
	}
}

// sequence executes an escape sequence.
func (p *picture) sequence(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if b[1] != '[' {
		p.unknown = append(p.unknown, strconv.Quote(string(b[:2])))
		return 2
	}
	for i, c := range b[2:] {
		if c >= 0x40 && c <= 0x7e {
			p.control(string(b[2:i+2]), c)
			return i + 3
		}
	}
	return 0
}

func (p *picture) control(parameter string, what byte) {
	n := 1
	if given, err := strconv.Atoi(parameter); err == nil {
		n = given
	}
	p.wrapping = false
	switch {
	case what == 'A':
		p.row = max(0, p.row-n)
	case what == 'B':
		p.row = min(p.rows-1, p.row+n)
	case what == 'C':
		p.column = min(p.columns-1, p.column+n)
	case what == 'D':
		p.column = max(0, p.column-n)
	case what == 'H' && parameter == "":
		p.row, p.column = 0, 0
	case what == 'K' && parameter == "":
		copy(p.cells[p.row][p.column:], p.empty())
	case what == 'J' && (parameter == "" || parameter == "2"):
		if parameter == "" {
			copy(p.cells[p.row][p.column:], p.empty())
		}
		for i := range p.cells {
			if i > p.row || parameter == "2" {
				p.cells[i] = p.empty()
			}
		}
	case parameter == "?1049" && what == 'h' && p.saved == nil:
		saved := *p
		p.saved = &saved
		p.cells = nil
		p.resize(p.columns, p.rows)
	case parameter == "?1049" && what == 'l' && p.saved != nil:
		gone, unknown := p.gone, p.unknown
		*p = *p.saved
		p.gone, p.unknown = gone, unknown
	case parameter == "?25" || parameter == "?2004":
	default:
		p.unknown = append(p.unknown, strconv.Quote("\x1b["+parameter+string(what)))
	}
}
