package console

import (
	"cmp"
	"context"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/x/ringdht/examples/internal/table"
)

// Watched is shown by a view and refreshed each second. It need not be safe for concurrent
// use.
type Watched interface {
	Refresh()                 // reads new data
	Lines(size Size) []string // the view, within size
	Line() string             // the same in one line
	Document() any            // the same for a program
}

// Size is the size of a terminal, in characters.
type Size struct{ Columns, Rows int }

// Watch shows what until a number of seconds is over (0: no limit), or until work returns, if
// it is not nil. It returns the error of work.
//
// On a terminal it is a full-screen view. The view also ends with the next line that is
// typed, and with an interrupt, and then restores the terminal. Otherwise Watch prints a line
// each second.
//
// If the view ends first, Watch waits for work.
func (c *Call) Watch(ctx context.Context, what Watched, seconds int, work func() error) error {
	s, period := c.Screen, cmp.Or(c.console.period, time.Second)
	view := !c.JSON && s.out.terminal && canDraw(s.out.Writer)
	if !view && seconds == 0 && work == nil {
		return Usagef("give a number of seconds: without a terminal, no Enter key can end it")
	}
	what.Refresh()
	ticks := time.NewTicker(period)
	defer ticks.Stop()
	w := watching{what: what, seconds: seconds, ticks: ticks.C}
	if work != nil {
		done := make(chan error, 1)
		w.done = done
		go func() { done <- work() }()
	}
	if view {
		c.view(ctx, &w)
		if work != nil && !w.over {
			w.err = <-w.done
		}
		return cmp.Or(w.err, ctx.Err())
	}
	for !w.isOver() && w.goesOn(ctx) {
		what.Refresh()
		c.Show(what.Document(), what.Line())
	}
	return w.err
}

// watching is the state of a Watch.
type watching struct {
	what    Watched
	seconds int // the number of ticks, 0 for no limit
	ticked  int // ticks so far
	ticks   <-chan time.Time
	done    <-chan error // receives the result of work; nil without work
	over    bool         // work has ended,
	err     error        // with this error
}

// isOver reports whether the number of ticks has been reached.
func (w *watching) isOver() bool { return w.seconds > 0 && w.ticked >= w.seconds }

// goesOn waits for the next tick. It returns false at the end.
func (w *watching) goesOn(ctx context.Context) bool {
	if w.done == nil {
		select {
		case <-w.ticks:
			w.ticked++
			return true
		case <-ctx.Done():
			w.err = ctx.Err()
		}
		return false
	}
	select { // work ends with ctx by itself
	case <-w.ticks:
		return true
	case w.err = <-w.done:
		return false
	}
}

// view shows a full-screen view.
func (c *Call) view(ctx context.Context, w *watching) {
	// An interrupt ends the view and not the program.
	viewing, done := foreground(ctx)
	defer done()
	signals, stop := viewSignals()
	defer stop()
	c.Screen.open()
	defer c.Screen.shut() // also after a panic
	for {
		c.Screen.draw(w.what)
		var lines <-chan line // nil for a script, whose next line is no answer to the view
		if c.console.typed {
			lines = c.console.input.next()
		}
		select {
		case <-viewing.Done():
			return
		case w.err = <-w.done:
			w.over, c.console.tooLate = true, true
			return
		case line := <-lines:
			if text := strings.TrimSpace(line.text); line.ok && (text == "" || text == "q") {
				c.console.input.taken()
			} else { // the end of the input, or the next command
				c.console.input.leave(line)
			}
			return
		case sig := <-signals:
			if suspends(sig) {
				c.Screen.shut()
				raise(sig) // returns when the program continues after a stop
				c.Screen.open()
			}
			w.what.Refresh()
		case <-w.ticks:
			if w.ticked++; w.isOver() {
				c.console.tooLate = true
				return
			}
			w.what.Refresh()
		}
	}
}

// The escape sequences are xterm's, which today's terminals share. 1049 saves the screen and
// the cursor, and shows an empty screen until it is reset.
const (
	enterView = "\x1b[?1049h\x1b[?25l"
	leaveView = "\x1b[?25h\x1b[?1049l"
	home      = "\x1b[H"
	endOfLine = "\x1b[K"
	endOfView = "\x1b[J"
)

// open gives the terminal to a view.
func (s *Screen) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != "" {
		io.WriteString(s.on, clear)
	}
	s.view = true
	io.WriteString(s.out, enterView)
}

// shut takes the terminal back, and writes the text that had to wait.
func (s *Screen) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.view {
		return
	}
	s.view = false
	io.WriteString(s.out, leaveView)
	s.release()
	if s.line != "" {
		io.WriteString(s.on, s.line)
	}
}

// draw draws over the last picture. Clearing the screen first would flicker, and a line end
// after the last line would scroll.
func (s *Screen) draw(what Watched) {
	size := sizeOf(s.out.Writer)
	var b strings.Builder
	b.WriteString(home)
	for i, l := range what.Lines(size) {
		if i == size.Rows {
			break
		}
		if i > 0 {
			b.WriteString("\r\n")
		}
		l = cut(l, size.Columns)
		b.WriteString(l)
		if utf8.RuneCountInString(l) < size.Columns { // else the cursor is still on the last character
			b.WriteString(endOfLine)
		}
	}
	b.WriteString(endOfView)
	s.mu.Lock()
	defer s.mu.Unlock()
	io.WriteString(s.out, b.String())
}

// cut returns the part of a line that fits.
func cut(line string, columns int) string {
	runes := []rune(table.Plain(line))
	return string(runes[:min(len(runes), columns)])
}

// canDraw reports whether a terminal can position the cursor.
func canDraw(stream any) bool {
	term := os.Getenv("TERM")
	_, ok := windowSize(stream)
	return ok && term != "" && term != "dumb"
}
