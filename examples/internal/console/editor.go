package console

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/x/ringdht/examples/internal/table"
	term "github.com/x/ringdht/examples/internal/third_party/_term"
)

const (
	prompt = "> "
	// maxTyped bounds a line that is typed, in characters. The editor drops more.
	maxTyped = 4096
	// below clears what is below and right of the start of the line.
	below = "\r\x1b[J"
)

// marker is written through the editor in the place of a text, see around. No text has a NUL.
var marker = []byte("\x00text")

// editor edits a line on a terminal, with golang.org/x/term's Terminal. Other text appears
// above the line. The editor counts a wide character as one cell, so the cursor is misplaced
// while a line with such characters is edited in its middle.
type editor struct {
	*keyboard
	term    *term.Terminal
	screen  *Screen
	console *Console
	out     *stream

	// Owned by the goroutine that reads a line. It lives until Enter.
	pending chan line
	tooLong bool // keys were dropped,
	full    bool // and more are, until one that edits
	pasted  bool // the keys that the editor has are pasted

	// Guarded by the mutex of the screen.
	reading  bool // the prompt is shown, or is about to be
	entering bool // Enter is on its way: what is above the prompt would stay in the text
	columns  int
	do       func() // writes the text in whose place the marker is

	drawing sync.Mutex // guards the fields below; held while writing
	hidden  bool       // a view or the shell has the terminal: nothing is drawn
	lost    bool       // something would have been drawn while hidden
}

func newEditor(c *Console, t *tty) *editor {
	e := &editor{keyboard: newKeyboard(t), screen: c.Screen, console: c, out: c.Screen.notices}
	e.term = term.NewTerminal(e.keysAndPicture(), prompt)
	e.term.History = &history{editor: e}
	e.term.AutoCompleteCallback = e.pressed
	e.resize()
	return e
}

// keysAndPicture returns the editor's terminal.
func (e *editor) keysAndPicture() io.ReadWriter {
	return struct {
		io.Reader
		io.Writer
	}{reader{e}, writer{e}}
}

// next returns a channel for the next line. A caller that receives the line calls taken.
func (e *editor) next() <-chan line {
	if e.pending != nil {
		return e.pending
	}
	got := make(chan line, 1)
	e.pending = got
	e.screen.mu.Lock()
	e.screen.erase()
	e.reading, e.entering = true, false
	e.term.SetPrompt(e.prompt())
	e.screen.mu.Unlock()
	go func() {
		defer e.console.restoreAtPanic()
		text, err := e.term.ReadLine()
		e.screen.mu.Lock()
		if err != nil && !e.screen.away {
			e.around(func() { e.hide(true) }) // there is no prompt any more
		}
		e.reading = false
		e.screen.mu.Unlock()
		switch {
		case err != nil:
			got <- line{} // the end of the keys, or Ctrl-D
		case e.tooLong:
			e.tooLong = false
			got <- line{ok: true, err: tooLong(maxTyped, "character")}
		default:
			got <- line{text: text, ok: true}
		}
	}()
	return got
}

func (e *editor) taken() { e.pending = nil }

// prompt returns the prompt. The progress of a command in the background is a line above it:
// it is padded to the width, so that the editor breaks the line after it. The caller holds
// the screen's mutex.
func (e *editor) prompt() string {
	above := e.screen.progressText()
	if above == "" || e.entering {
		return prompt
	}
	above = table.Cut(above, e.columns)
	cells := table.Cells(above)
	// The editor takes each character for one cell. NULs, which are not written, make up for
	// wide ones.
	return above + strings.Repeat(" ", e.columns-cells) +
		strings.Repeat("\x00", max(0, cells-utf8.RuneCountInString(above))) + prompt
}

// around calls do with the cursor where the prompt was, and shows the prompt after what do
// has written. The caller holds the screen's mutex.
func (e *editor) around(do func()) {
	e.do = do
	e.term.SetPrompt(e.prompt())
	e.term.Write(marker)
}

// hide draws nothing until show.
func (e *editor) hide(lost bool) {
	e.drawing.Lock()
	defer e.drawing.Unlock()
	e.hidden, e.lost = true, lost
}

// show draws the prompt again. The caller holds the screen's mutex.
func (e *editor) show() {
	reveal := func() {
		e.drawing.Lock()
		defer e.drawing.Unlock()
		e.hidden, e.lost = false, false
	}
	if e.drawing.Lock(); e.lost {
		e.drawing.Unlock()
		e.around(reveal) // what is drawn before the text, to clear the line, stays hidden
		return
	}
	e.drawing.Unlock()
	reveal()
	if e.reading {
		e.around(func() {})
	}
}

// resize adjusts to the size of the terminal. The caller holds the screen's mutex, or is the
// only one to know the editor.
func (e *editor) resize() {
	size := sizeOf(e.out.Writer)
	if size.Columns == e.columns {
		return
	}
	// The line above the prompt has the old width: it goes first, and comes back.
	if e.reading && e.screen.progressText() != "" {
		was := e.entering
		e.entering = true
		e.around(func() {})
		e.entering = was
	}
	e.columns = size.Columns
	e.term.SetSize(size.Columns, size.Rows)
	if e.reading && e.screen.progressText() != "" {
		e.around(func() {})
	}
}

// columnsNow returns the width of the terminal.
func (e *editor) columnsNow() int { return sizeOf(e.out.Writer).Columns }

// enter takes the progress from above the prompt before Enter, so that it does not stay.
func (e *editor) enter() {
	e.screen.mu.Lock()
	defer e.screen.mu.Unlock()
	if e.entering = true; e.screen.progressText() != "" {
		e.around(func() {})
	}
}

// writer draws the editor's line.
type writer struct{ *editor }

func (e writer) Write(p []byte) (int, error) {
	e.drawing.Lock()
	hidden := e.hidden
	isText := bytes.Equal(p, marker)
	switch {
	case isText && !hidden && e.reading:
		io.WriteString(e.out, below)
	case isText:
	case hidden:
		e.lost = true
	default:
		e.out.Write(bytes.ReplaceAll(p, []byte{0}, nil))
	}
	e.drawing.Unlock()
	if isText {
		e.do()
	}
	return len(p), nil
}

// reader gives the editor its keys.
type reader struct{ *editor }

func (e reader) Read(p []byte) (n int, err error) {
	for n == 0 {
		k, ok, changed, err := e.take(false)
		switch {
		case err != nil:
			return 0, err
		case !ok:
			<-changed
		case e.full && k.printable(): // without a look at the whole line for each key of a paste
			e.skip()
		case k.text == enter:
			e.full = false
			e.enter()
			return copy(p, enter), nil
		default:
			e.full = false
			e.pasted = k.pasted
			n = copy(p, k.text)
		}
	}
	return n, nil
}

// pressed decides what a key does: it completes at Tab, and helps at ?. It is called for all
// keys that insert a character, without a lock, by the goroutine that reads the line.
func (e *editor) pressed(text string, at int, key rune) (string, int, bool) {
	switch {
	case text == "":
		e.tooLong = false
	case len(text) >= maxTyped && utf8.RuneCountInString(text) >= maxTyped:
		e.full = key >= ' ' && key != interruptKey
		e.tooLong = e.tooLong || e.full
	}
	switch {
	case key == interruptKey:
		if text == "" {
			e.console.interruptedAtPrompt()
		}
		return "", 0, true
	case e.pasted:
	case key == '\t':
		return e.complete(text, at)
	case key == '?' && at == len(text):
		if help, ok := e.console.helpFor(text); ok {
			e.screen.write(e.out, help)
			return text, at, true
		}
	}
	return "", 0, false
}

// history keeps the latest lines that were entered.
type history struct {
	editor *editor
	lines  []string // the latest is the last
}

// maxHistory bounds the lines of the history.
const maxHistory = 100

func (h *history) Add(text string) {
	n := len(h.lines)
	if strings.TrimSpace(text) == "" || h.editor.tooLong || n > 0 && h.lines[n-1] == text {
		return
	}
	if n == maxHistory {
		h.lines = h.lines[1:]
	}
	h.lines = append(h.lines, text)
}

func (h *history) Len() int { return len(h.lines) }

func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
