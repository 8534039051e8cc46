package console

import (
	"cmp"
	"context"
	"io"
	"os"
	"strings"
	"time"

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
// On a terminal it is a full-screen view. The view also ends with Enter or q, and with an
// interrupt, and then restores the terminal. Any other character ends it too, and is the
// first of the next line. Otherwise Watch prints a line each second, as it does on a dumb
// terminal and in the background.
//
// If the view ends first, Watch waits for work.
func (c *Call) Watch(ctx context.Context, what Watched, seconds int, work func() error) error {
	s, period := c.Screen, cmp.Or(c.console.period, time.Second)
	view := !c.JSON && !c.Background && s.out.terminal && canDraw(s.out.Writer) && !s.isAway()
	if !view && seconds == 0 && work == nil {
		where := "without a terminal"
		if s.out.terminal {
			where = "here"
		}
		return Usagef("give a number of seconds: %s no key can end it", where)
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
		c.Tell(what.Document(), what.Line())
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
	keys := c.console.editor // nil for a script, whose next line is no answer to the view
	if keys != nil {
		keys.view(true)
		defer keys.view(false)
	}
	c.Screen.open()
	defer c.Screen.shut() // also after a panic
	for draw := true; ; {
		if draw {
			c.Screen.draw(w.what)
		}
		draw = true
		var key <-chan struct{}
		if keys != nil {
			var end bool
			if key, end = keys.endsView(); end {
				return
			}
		}
		select {
		case <-viewing.Done():
			return
		case w.err = <-w.done:
			w.over, c.console.tooLate = true, true
			return
		case <-key:
			draw = false
		case <-c.Screen.redraw:
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

// endsView reports whether a key ends the view. Otherwise it returns a channel that is closed
// when there may be one. A character other than q is left for the editor.
func (k *keyboard) endsView() (<-chan struct{}, bool) {
	for {
		key, ok, changed, err := k.take(true)
		switch {
		case err != nil:
			return nil, true
		case !ok:
			return changed, false
		case key.text == enter || key.text == "q":
			return nil, true
		case key.text == endOfInput || key.printable():
			k.put(key)
			return nil, true
		}
	}
}

// redrawView asks the view to draw itself now.
func (s *Screen) redrawView() {
	select {
	case s.redraw <- struct{}{}:
	default:
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
	if s.live.editor != nil {
		s.live.editor.hide(false)
	}
	s.erase()
	select {
	case <-s.redraw: // from before the view
	default:
	}
	s.view = true
	if !s.away {
		io.WriteString(s.out, enterView)
	}
}

// shut takes the terminal back, and writes the text that had to wait.
func (s *Screen) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = false
	if !s.away {
		io.WriteString(s.out, leaveView)
	}
	if e := s.live.editor; e != nil && !s.away {
		e.show()
		e.resize()
	}
	if len(s.held) > 0 || s.omitted > 0 {
		s.aside(s.release)
	}
	s.refresh()
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
		if table.Cells(l) < size.Columns { // else the cursor is still on the last character
			b.WriteString(endOfLine)
		}
	}
	b.WriteString(endOfView)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.away {
		io.WriteString(s.out, b.String())
	}
}

// cut returns the part of a line that fits.
func cut(line string, columns int) string { return table.Cut(table.Plain(line), columns) }

// canDraw reports whether a terminal can position the cursor.
func canDraw(stream any) bool {
	term := os.Getenv("TERM")
	_, ok := windowSize(stream)
	return ok && term != "" && term != "dumb"
}
