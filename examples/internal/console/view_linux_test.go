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

// work is the work of the command work.
var work = make(chan struct{})

// viewing starts a console on a terminal, with a command that shows a view.
func viewing(t *testing.T, columns, rows int, lines func(int, Size) []string) (*drive.Terminal, *Screen, <-chan error) {
	t.Helper()
	t.Setenv("TERM", "xterm")
	x := drive.OpenTerminal(t, columns, rows)
	screen := NewScreen(x.Program, x.Program, false)
	failed := make(chan error, 1)
	c := &Console{Screen: screen, period: 100 * time.Millisecond, Commands: []Command{
		{Name: "watch", Args: "[seconds]", Max: 1, Run: func(ctx context.Context, call *Call) (err error) {
			defer func() {
				if r := recover(); r != nil {
					err = ErrQuit
					call.Screen.Say("recovered: %v", r)
				}
			}()
			seconds := 0
			if len(call.Args) > 0 {
				seconds, _ = Number("seconds", call.Args[0], 1)
			}
			return call.Watch(ctx, &counted{lines: lines}, seconds, nil)
		}},
		{Name: "work", Run: func(ctx context.Context, call *Call) error {
			return call.Watch(ctx, &counted{lines: lines}, 0, func() error {
				call.Screen.Progress("working")
				<-work
				call.Screen.Done()
				call.Screen.Print("worked")
				return errors.New("but badly")
			})
		}},
		{Name: "echo", Run: func(_ context.Context, call *Call) error { call.Screen.Print("echoed"); return nil }},
		{Name: "quit", Run: func(context.Context, *Call) error { return ErrQuit }},
	}}
	go func() {
		c.Run(t.Context(), x.Program)
		failed <- errors.New("ended")
	}()
	x.Expect("> $")
	return x, screen, failed
}

const (
	enters = "\x1b\\[\\?1049h\x1b\\[\\?25l"
	leaves = "\x1b\\[\\?25h\x1b\\[\\?1049l"
)

// outside returns the output outside of views. It fails the test unless each view was left.
func outside(t *testing.T, text string) string {
	t.Helper()
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
// output waits.
func TestView(t *testing.T) {
	x, screen, ended := viewing(t, 20, 5, picture)
	x.Type("watch\n")
	x.Expect("watch\r\n" + enters + "\x1b\\[Hlook 1\x1b\\[K\r+\nx{20}\r+\n20 by 5\x1b\\[K\r+\n4\x1b\\[K\r+\n5\x1b\\[K\x1b\\[J")
	screen.Print("a message")
	screen.Complain("a warning")
	x.Expect("\x1b\\[Hlook 2\x1b\\[K")
	x.Resize(30, 4) // the process that runs this test gets no signal for it, so the next refresh draws in the new size
	x.Expect("30 by 4\x1b\\[K\r+\n4\x1b\\[K\x1b\\[J")
	x.Type("q\n")
	x.Expect(leaves + "a message\r\na warning\r\n> $")
	x.Type("watch\n")
	x.Expect(enters)
	x.Type("\n")
	x.Expect(leaves + "> $")
	x.Type("watch\n")
	x.Expect(enters)
	x.Type("echo\n") // a command also ends the view, and then runs
	x.Expect(leaves + "> echoed\r\n> $|" + leaves + "echoed\r\n> $")
	x.Type("watch 1\n")
	x.Expect(leaves + "> $")
	x.Type("q\n") // too late for the view, and not meant for the program
	x.Expect("> $")
	x.Type("q\n")
	<-ended
	if got := outside(t, x.Text()); strings.Contains(got, "look") {
		t.Errorf("the screen has %q", got)
	}
}

// A panic in a view restores the terminal.
func TestViewPanics(t *testing.T) {
	x, _, ended := viewing(t, 80, 24, func(looks int, _ Size) []string {
		if looks == 2 {
			panic("no picture")
		}
		return nil
	})
	x.Type("watch\n")
	x.Expect(enters + "\x1b\\[H\x1b\\[J" + leaves + "recovered: no picture\r\n")
	<-ended
	outside(t, x.Text())
}

// A view ends with its work. If the view ends first, the work goes on.
func TestViewOfWork(t *testing.T) {
	x, screen, _ := viewing(t, 80, 24, picture)
	x.Type("work\n")
	x.Expect("look 2")
	work <- struct{}{}
	x.Expect(leaves + "worked\r\nbut badly\r\n> $")
	x.Type("work\n")
	x.Expect(enters)
	x.Expect("look 2")
	x.Type("\n")
	x.Expect(leaves + "working$")
	screen.Print("said")
	x.Expect("\r\x1b\\[Ksaid\r\nworking$")
	work <- struct{}{}
	x.Expect("\r\x1b\\[Kworked\r\nbut badly\r\n> $")
	outside(t, x.Text())
	t.Setenv("TERM", "dumb")
	x.Type("work\n")
	x.Expect("look 2\r\n")
	work <- struct{}{}
	x.Expect("worked\r\nbut badly\r\n> $")
}

// The output that waits for the end of a view is bounded.
func TestViewHoldsLatest(t *testing.T) {
	x, screen, _ := viewing(t, 80, 24, picture)
	x.Type("watch\n")
	x.Expect(enters)
	for i := range 5 {
		screen.Print(fmt.Sprint(i, strings.Repeat("y", 100<<10)))
	}
	x.Type("\n")
	x.Expect(leaves + "3 lines printed during the view omitted\r\n3y+\r\n4y+\r\n> $")
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

// Without a terminal, or on a dumb one, a view is printed as lines.
func TestWatchLines(t *testing.T) {
	x, _, _ := viewing(t, 80, 24, picture)
	t.Setenv("TERM", "dumb")
	x.Type("watch\n")
	x.Expect("watch: give a number of seconds: without a terminal, no Enter key can end it \\(usage: watch \\[seconds\\]\\)\r\n> $")
	x.Type("watch 2\n")
	x.Expect("look 2\r\nlook 3\r\n> $")
	t.Setenv("TERM", "xterm")
	x.Type("watch 1 -json\n")
	x.Expect("\\n2\r\n> $")
	outside(t, x.Text())
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
