package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A command in the background gives the prompt back. Its progress is above the prompt, and its
// result too. Other commands run beside it, or wait.
func TestBackground(t *testing.T) {
	onTerminals(t, func(t *testing.T, columns, rows int) {
		d := sit(t, columns, rows)
		d.Type("start 1\rli")
		d.Shows(`^> start 1\n1 is at work\n> li▁$`)
		d.screen.Say("a message")
		d.Shows(`^> start 1\na message\n1 is at work\n> li▁$`)
		d.Type("st-n\r") // it runs beside
		d.Shows(`^a message\n> list-n\na list\n1 is at work\n> ▁$`)
		d.Type("list-runs\r")
		d.Shows(`^> list-runs\nlist-runs waits: start is under way;\s+stop\s+ends it\.\n1 is at work\n> ▁$`)
		d.Type("echo b\rfoo\r") // a mistake does not wait
		d.Shows(`(?s)^echo waits: .*^unknown command "foo": type help for the\slist\n1 is at work\n> ▁$`)
		d.Type("half")
		d.release <- nil
		d.Shows(`^result of 1\necho\necho b\n> half▁$`)
		d.Type("\x15start 2\r")
		d.Shows(`^> start 2\n2 is at work\n> ▁$`)
		d.release <- errors.New("it failed")
		d.Shows(`^> start 2\nit failed\n> ▁$`)
		d.Type("start 3\rstart 4\r")
		d.Shows(`^start waits: start is under way; stop\s+ends\sit\.\n3 is at work\n> ▁$`)
		d.Type("stop\r")
		d.Shows(`^> stop\n(Interrupted: start 3\nstopped "start 3", true|stopped "start 3", true\nInterrupted: start 3)\n4 is at work\n> ▁$`)
		d.Type("quit\r") // ends what is in the background
		if err := d.end(); err != nil {
			t.Error(err)
		}
		d.Shows(`^> quit\nInterrupted: start 4\n▁$`)
	})
}

// When the line above the prompt goes, nothing of a line with several rows stays below it.
func TestProgressGoesFromAboveRows(t *testing.T) {
	onTerminals(t, func(t *testing.T, columns, rows int) {
		d := sit(t, columns, rows)
		d.Type("start 1\recho " + strings.Repeat("y", columns) + "\x01")
		d.Shows(`^1 is at work\n> echo y+\ny{7}$`)
		d.release <- nil
		d.Shows(`^> start 1\nresult of 1\n> echo y+\ny{7}$`)
		if strings.Count(d.Screen(), "y") != columns {
			t.Errorf("it shows\n%s", d.Screen())
		}
	})
}

// A progress line is cut to the terminal, by cells.
func TestProgressIsCut(t *testing.T) {
	onTerminals(t, func(t *testing.T, columns, rows int) {
		d := sit(t, columns, rows)
		d.Type("wait " + strings.Repeat("日", columns) + "\r")
		d.Shows(fmt.Sprintf(`^日{%d}▁$`, columns/2-1))
		d.in.interrupt()
		d.Shows(`^> ▁$`)
		d.Type("start " + strings.Repeat("x", columns) + "\r")
		d.Shows(fmt.Sprintf(`^x{%d}\n> ▁$`, columns))
		d.in.interrupt()
		d.Shows(`^> ▁$`)
		d.Type("start 日日" + strings.Repeat("x", columns) + "\recho ab")
		d.Shows(fmt.Sprintf(`^日日x{%d}\n> echo ab▁$`, columns-4))
		d.screen.Say("a message")
		d.Type("c")
		d.Shows(fmt.Sprintf(`^a message\n日日x{%d}\n> echo abc▁$`, columns-4))
	})
}

// Notices, errors and sentences wrap by words on a terminal, tables do not. In JSON, and
// elsewhere, lines stay whole.
func TestNoticesWrap(t *testing.T) {
	const text = "one two three four five six seven eighteen nine"
	d := sit(t, 40, 10, func(d *desk) {
		d.console.Commands = append(d.console.Commands, Command{Name: "tell", Run: func(_ context.Context, call *Call) error {
			call.Tell(text, text)
			return nil
		}})
	})
	const wrapped = `one two three four five six seven\neighteen nine\n`
	d.screen.Say("%s", text)
	d.Shows(`^` + wrapped + `> ▁$`)
	d.screen.Complain("%s", text)
	d.Shows(`^` + wrapped + wrapped + `> ▁$`)
	d.Type("tell\rtell -json\r")
	d.Shows(`^> tell\n` + wrapped + `> tell -json\n"one two three four five six seven eight\neen nine"\n> ▁$`)
	d.screen.Print(text)
	d.Expect(`J` + text + `\r\n> $`)
	if d.screen.Columns() != 40 {
		t.Errorf("%d columns", d.screen.Columns())
	}
	var out strings.Builder
	s := NewScreen(&out, &out, false)
	s.Say("%s", text)
	s.Tell(text)
	if out.String() != text+"\n"+text+"\n" || s.Columns() != 0 {
		t.Errorf("a pipe gets %q", out.String())
	}
}

// Help fits narrow terminals.
func TestNarrowHelp(t *testing.T) {
	onTerminals(t, func(t *testing.T, columns, rows int) {
		d := sit(t, columns, rows)
		d.Type("help\rhelp help\r")
		d.Shows(`help -json\n> ▁$`)
		for line := range strings.Lines(d.Text()) {
			if line = strings.TrimRight(line, "\r\n"); !strings.Contains(line, "\x1b") && len(line) > columns {
				t.Errorf("%q does not fit", line)
			}
		}
	})
}

// Views work while a command runs in the background.
func TestViewBesideBackground(t *testing.T) {
	d := sit(t, 80, 24)
	d.Type("start 1\r")
	d.Shows(`^1 is at work\n> ▁$`)
	d.Type("watch\r")
	d.Shows(`^look \d+$`)
	d.release <- nil
	d.Shows(`^look \d+$`)
	d.Type("q")
	d.Shows(`^> start 1\n> watch\nresult of 1\n> ▁$`)
}

// The commands that wait are bounded.
func TestWaitingCommandsAreBounded(t *testing.T) {
	d := sit(t, 80, 24)
	d.Type("start 1\r" + strings.Repeat("echo a\r", maxWaiting+1))
	d.Shows(`^echo: 64 commands wait for the end of start: no more can\n1 is at work\n> ▁$`)
	d.Type("stop\r")
	d.Shows(`^echo a\n> ▁$`) // one of them has run, so there is room for another
	d.Type("echo last\r")
	d.Shows(`^echo last\n> ▁$`)
	ran := 0
	for line := range strings.Lines(d.Scrolled() + "\n" + d.Screen()) {
		if line == "echo a\n" {
			ran++
		}
	}
	if ran != maxWaiting {
		t.Errorf("%d ran", ran)
	}
}

// A strict console ends at the first command that fails, and at the first verdict.
func TestStrictOnTerminal(t *testing.T) {
	for _, c := range []struct{ typed, want string }{
		{"echo a\rfoo\recho b\r", "line 2 failed, so -strict ends the program: foo"},
		{"verdict\r", "line 1 failed, so -strict ends the program: verdict"},
		{"start 1\rstop\r", "line 1 failed, so -strict ends the program: start 1"},
		{"echo 1 2 3\r", "line 1 failed, so -strict ends the program: echo 1 2 3"},
		{"watch x y\r", "line 1 failed, so -strict ends the program: watch x y"},
		{"quit\r", ""},
	} {
		d := sit(t, 80, 24, func(d *desk) { d.console.Strict = true })
		d.Type(c.typed)
		if err := d.end(); fmt.Sprint(err) != c.want && (err != nil || c.want != "") {
			t.Errorf("%q: %v, want %q", c.typed, err, c.want)
		}
		if strings.Contains(d.Screen(), "echo b") {
			t.Errorf("%q: it goes on", c.typed)
		}
	}
}
