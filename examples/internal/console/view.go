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

// Watched is something to look at, again and again. It need not be safe for
// concurrent use.
type Watched interface {
	Refresh()                 // takes a new look
	Lines(size Size) []string // what there is to see, no wider and no longer than size
	Line() string             // that in one line
	Document() any            // that for a program
}

// Size is that of a terminal, in characters.
type Size struct{ Columns, Rows int }

// Watch shows something until a number of seconds is over, 0 for as long as it takes, or
// until work is done, if that is not nil, whose error it returns. On a terminal that is
// a view, which fills it and ends as well with the next line that is typed, or an
// interrupt, and then leaves the terminal as it was. Otherwise it is a line for each
// second.
//
// Work goes on when its view has ended.
func (c *Call) Watch(ctx context.Context, what Watched, seconds int, work func() error) error {
	s, period := c.Screen, cmp.Or(c.console.period, time.Second)
	view := !c.JSON && s.out.terminal && canDraw(s.out.Writer)
	if !view && seconds == 0 && work == nil {
		return Usagef("expected a number of seconds: there is no terminal whose Enter key would end it")
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

// watching is what there is to wait for.
type watching struct {
	what    Watched
	seconds int // how many ticks, 0 for any number
	ticked  int // how many there were
	ticks   <-chan time.Time
	done    <-chan error // of the work, if there is any
	over    bool         // the work is done,
	err     error        // with this
}

// isOver says that there were as many ticks as there should be.
func (w *watching) isOver() bool { return w.seconds > 0 && w.ticked >= w.seconds }

// goesOn waits for the time for a line. It is false at the end.
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
	select { // work knows of ctx
	case <-w.ticks:
		return true
	case w.err = <-w.done:
		return false
	}
}

// view shows something on all of the terminal.
func (c *Call) view(ctx context.Context, w *watching) {
	// An interrupt is to end the view and not the program.
	viewing, done := foreground(ctx)
	defer done()
	signals, stop := viewSignals()
	defer stop()
	c.Screen.open()
	defer c.Screen.shut() // also after a panic
	for {
		c.Screen.draw(w.what)
		var lines <-chan line // none of a script, which is not typed in answer to what is seen
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
				raise(sig) // returns when the program goes on, if it does
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

// The sequences are xterm's, which terminals of today have in common. 1049 keeps the
// screen and the cursor, and shows an empty one until it is reset.
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

// shut takes it back, and writes what had to wait.
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

// draw draws over what was drawn before, without emptying the screen first, which
// would flicker. There is no line end behind the last line, which would scroll.
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
		if utf8.RuneCountInString(l) < size.Columns { // else the cursor is on the last letter still
			b.WriteString(endOfLine)
		}
	}
	b.WriteString(endOfView)
	s.mu.Lock()
	defer s.mu.Unlock()
	io.WriteString(s.out, b.String())
}

// cut keeps what fits into a line.
func cut(line string, columns int) string {
	runes := []rune(table.Plain(line))
	return string(runes[:min(len(runes), columns)])
}

// canDraw says whether a terminal understands where to draw.
func canDraw(stream any) bool {
	term := os.Getenv("TERM")
	_, ok := windowSize(stream)
	return ok && term != "" && term != "dumb"
}
