package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/examples/internal/drive"
)

// counted is a Watched for tests.
type counted struct {
	looks int
	lines func(looks int, size Size) []string
}

func (c *counted) Refresh()                 { c.looks++ }
func (c *counted) Lines(size Size) []string { return c.lines(c.looks, size) }
func (c *counted) Line() string             { return fmt.Sprint("look ", c.looks) }
func (c *counted) Document() any            { return c.looks }

func picture(looks int, size Size) []string {
	return []string{fmt.Sprintf("look %d", looks), strings.Repeat("x", 500), fmt.Sprintf("%d by %d", size.Columns, size.Rows), "4", "5", "too much"}
}

const (
	enters = "\x1b\\[\\?1049h\x1b\\[\\?25l"
	leaves = "\x1b\\[\\?25h\x1b\\[\\?1049l"
)

// outside returns the output outside of views. It fails the test unless each view was left.
func outside(t *testing.T, text string) string {
	t.Helper()
	text = strings.NewReplacer(marksOn, "", marksOff, "").Replace(text)
	var rest strings.Builder
	for {
		before, after, found := strings.Cut(text, enterView)
		if rest.WriteString(before); !found {
			break
		}
		view, left, found := strings.Cut(after, leaveView)
		if !found || strings.Contains(view, "\x1b[?") {
			t.Errorf("a view is not left: %q", view)
		}
		text = left
	}
	if strings.Contains(rest.String(), "\x1b[?") {
		t.Errorf("more is changed: %q", rest.String())
	}
	return rest.String()
}

// A view has a screen of its own, draws only what fits, and restores the other screen. Other
// output waits. Enter and q end it; any other character too, and begins the next line.
func TestView(t *testing.T) {
	onTerminals(t, func(t *testing.T, columns, rows int) {
		d := sit(t, columns, rows)
		d.Type("watch\r")
		d.Shows(fmt.Sprintf(`^look \d+\nx{%d}\n%d by %d\n4\n5\ntoo much`, columns, columns, rows))
		d.screen.Print("a message")
		d.screen.Complain("a warning")
		d.Shows(`^look ([2-9]|\d\d+)$`) // a busy machine may miss one
		d.Resize(30, 4)
		d.screen.resized()
		d.Shows(`30 by 4\n4▁$`)
		d.Type("q")
		d.Shows(`a message\na warning\n> ▁$`)
		d.Resize(columns, rows)
		d.screen.resized()
		d.Type("watch\r")
		d.Shows(`^look \d+$`)
		d.Type("\r")
		d.Shows(`^> watch\n> ▁$`)
		d.Type("watch\recho a\r")
		d.Shows(`^> echo a\necho a\n> ▁$`)
		d.Type("watch 1\r")
		d.Shows(`^look \d+$`)
		d.Shows(`^> watch 1\n> ▁$`)
		d.Type("q\r") // too late for the view, and not meant for the program
		d.Shows(`^> q\n> ▁$`)
		d.Type("watch\r\x1b[A\x04") // an arrow key does nothing; Ctrl-D ends the view, and then the input
		d.Shows(`^> watch\n▁$`)
		if got := outside(t, d.Text()); strings.Contains(got, "look") {
			t.Errorf("the screen has %q", got)
		}
	})
}

// An interrupt ends a view and nothing else.
func TestInterruptedView(t *testing.T) {
	d := sit(t, 80, 24)
	d.Type("start 1\rwatch\r")
	d.Shows(`^look \d+$`)
	if !d.in.interrupt() {
		t.Error("the view does not take the interrupt")
	}
	d.Shows(`^> watch\n1 is at work\n> ▁$`)
	d.Type("watch\r")
	d.Shows(`^look \d+$`)
	d.in.end()
	if err := d.end(); err != nil {
		t.Error(err)
	}
	d.Shows(`^> watch\n(Interrupted: watch\nInterrupted: start 1|Interrupted: start 1\nInterrupted: watch)\n▁$`)
	outside(t, d.Text())
}

// A panic in a view restores the terminal.
func TestViewPanics(t *testing.T) {
	d := sit(t, 80, 24, func(d *desk) {
		d.console.Commands = append(d.console.Commands, Command{Name: "panic", Run: func(ctx context.Context, call *Call) (err error) {
			defer func() {
				if r := recover(); r != nil {
					err = ErrQuit
					call.Screen.Say("recovered: %v", r)
				}
			}()
			return call.Watch(ctx, &counted{lines: func(looks int, _ Size) []string {
				if looks == 2 {
					panic("no picture")
				}
				return nil
			}}, 0, nil)
		}})
	})
	d.Type("panic\r")
	d.Shows(`^> panic\nrecovered: no picture\n▁$`)
	d.end()
	outside(t, d.Text())
}

// A view ends with its work. If the view ends first, the work goes on.
func TestViewOfWork(t *testing.T) {
	work := make(chan struct{})
	d := sit(t, 80, 24, func(d *desk) {
		d.console.Commands = append(d.console.Commands, Command{Name: "work", Run: func(ctx context.Context, call *Call) error {
			return call.Watch(ctx, &counted{lines: picture}, 0, func() error {
				call.Screen.Progress("working")
				<-work
				call.Screen.Done()
				call.Screen.Print("worked")
				return errors.New("but badly")
			})
		}})
	})
	d.Type("work\r")
	d.Shows(`^look ([2-9]|\d\d+)$`) // a busy machine may miss one
	work <- struct{}{}
	d.Shows(`^> work\nworked\nbut badly\n> ▁$`)
	d.Type("work\r")
	d.Shows(`^look ([2-9]|\d\d+)$`) // a busy machine may miss one
	d.Type("\r")
	d.Shows(`^> work\nworking▁$`)
	d.screen.Print("said")
	d.Shows(`^> work\nsaid\nworking▁$`)
	work <- struct{}{}
	d.Shows(`^said\nworked\nbut badly\n> ▁$`)
	outside(t, d.Text())
}

// The output that waits for the end of a view is bounded.
func TestViewHoldsLatest(t *testing.T) {
	d := sit(t, 80, 24)
	d.Type("watch\r")
	d.Shows(`^look \d+$`)
	for i := range 5 {
		d.screen.Print(fmt.Sprint(i, strings.Repeat("y", 100<<10)))
	}
	d.Type("q")
	d.Expect(leaves + "\\W+K\r\x1b\\[J3 lines printed during the view omitted\r\n3y+\r\n4y+\r\n> $|" +
		leaves + "3 lines printed during the view omitted\r\n3y+\r\n4y+\r\n> $")
}

// A script on a terminal does not count as a person who types.
func TestViewOfScript(t *testing.T) {
	t.Setenv("TERM", "xterm")
	x := drive.OpenTerminal(t, 80, 24)
	c := &Console{Screen: NewScreen(x.Program, x.Program, false), period: 50 * time.Millisecond, Commands: []Command{
		{Name: "watch", Run: func(ctx context.Context, call *Call) error { return call.Watch(ctx, &counted{lines: picture}, 3, nil) }},
		{Name: "quit", Run: func(context.Context, *Call) error { return ErrQuit }},
	}}
	c.Run(t.Context(), strings.NewReader("watch\nquit\n"))
	x.Expect(enters + "\x1b\\[Hlook 1")
	x.Expect("\x1b\\[Hlook 3")
	x.Expect(leaves)
}

// On a dumb terminal a view is printed as lines, and the terminal edits the line. With -json
// it is lines everywhere.
func TestDumbTerminal(t *testing.T) {
	t.Setenv("TERM", "dumb")
	x := drive.OpenTerminal(t, 80, 24)
	screen := NewScreen(x.Program, x.Program, false)
	d := &desk{screen: screen, release: make(chan error)}
	c := &Console{Screen: screen, period: 50 * time.Millisecond, Commands: d.commands()}
	ended := make(chan error)
	go func() { ended <- c.Run(t.Context(), x.Program) }()
	x.Shows(`^> ▁$`)
	screen.Say("a message")
	x.Shows(`^>\na message\n> ▁$`)
	x.Type("watch\n")
	x.Shows(`^watch: give a number of seconds: here no key can end it \(usage: watch \[seconds\]\)\n> ▁$`)
	x.Type("watch 2\n")
	x.Shows(`^> watch 2\nlook 2\nlook 3\n> ▁$`)
	x.Type("start 1\n")
	x.Shows(`^1 is at work\n> ▁$`)
	x.Type("echo\n")
	x.Shows(`^echo waits: start is under way; stop ends it\.\n> ▁$`)
	d.release <- nil
	x.Shows(`^result of 1\n>\necho\n> ▁$`)
	x.Type("quit\n")
	if err := <-ended; err != nil || strings.Contains(x.Text(), "\x1b") {
		t.Errorf("%v, %q", err, x.Text())
	}
}

func TestWatchJSONOnTerminal(t *testing.T) {
	d := sit(t, 80, 24)
	d.Type("watch 1 -json\r")
	d.Shows(`^2\n> ▁$`)
	outside(t, d.Text())
}

func TestSize(t *testing.T) {
	x := drive.OpenTerminal(t, 0, 0)
	t.Setenv("COLUMNS", "132")
	t.Setenv("LINES", "many")
	if got := sizeOf(x.Program); got != (Size{132, 24}) {
		t.Errorf("of a terminal that does not know: %v", got)
	}
	x.Resize(40, 10)
	if got := sizeOf(x.Program); got != (Size{40, 10}) {
		t.Errorf("of one that does: %v", got)
	}
}
