package console

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// An interrupt ends the command, says so, and leaves the program running.
func TestInterruptedCommand(t *testing.T) {
	onTerminals(t, func(t *testing.T, columns, rows int) {
		d := sit(t, columns, rows)
		d.Type("wait 1\r")
		d.Shows(`^> wait 1\n1 is at work▁$`)
		if !d.in.interrupt() {
			t.Error("the command does not take the interrupt")
		}
		d.Shows(`^> wait 1\nInterrupted: wait 1\n> ▁$`)
		d.Type("wait 2 -json\r")
		d.Shows(`^2 is at work▁$`)
		d.in.interrupt()
		d.Shows(`^{"error":"interrupted"}\n> ▁$`)
		// The command in the foreground comes before the one in the background.
		d.Type("start 3\r")
		d.Shows(`^3 is at work\n> ▁$`)
		d.in.interrupt()
		d.Shows(`^> start 3\nInterrupted: start 3\n> ▁$`)
		d.Type("echo a\r")
		d.Shows(`^echo a\n> ▁$`)
	})
}

// At the prompt an interrupt clears a half line, then warns if something is lost, then ends
// the program. A command in between makes it warn again.
func TestInterruptAtPrompt(t *testing.T) {
	losing := "5 nodes are connected; Ctrl-C again, or quit, ends the registry. The nodes stay."
	d := sit(t, 40, 10, func(d *desk) { d.console.Losing = func() string { return losing } })
	d.Type("echo half")
	d.Shows(`^> echo half▁$`)
	d.in.interrupt()
	d.Shows(`^> ▁$`)
	d.in.interrupt()
	const warned = `5 nodes are connected; Ctrl-C again, or\nquit, ends the registry\. The nodes stay\.\n> `
	d.Shows(`^` + warned + `▁$`)
	d.Type("echo a\r")
	d.Shows(`^echo a\n> ▁$`)
	d.in.interrupt()
	d.Shows(`^echo a\n` + warned + `▁$`)
	d.in.interrupt()
	if err := d.end(); err != nil || d.ctx.Err() == nil {
		t.Errorf("%v, the context: %v", err, d.ctx.Err())
	}
	d.Shows(`stay\.\n▁$`)

	d = sit(t, 80, 24) // with nothing to lose
	d.in.interrupt()
	d.end()
}

// A command that does not end with its context does not keep the program: the next interrupt
// ends it. Meanwhile the terminal is restored already, since a third kills the program.
func TestInterruptedTwice(t *testing.T) {
	release := make(chan bool)
	d := sit(t, 80, 24, func(d *desk) {
		d.console.Commands = append(d.console.Commands, Command{Name: "hang", Run: func(_ context.Context, call *Call) error {
			call.Screen.Progress("hanging")
			<-release
			return errors.New("hung")
		}})
	})
	d.Type("hang\r")
	d.Shows(`^hanging▁$`)
	if !d.in.interrupt() || d.in.interrupt() {
		t.Error("the second interrupt does not end the program")
	}
	d.in.end()
	d.Expect(`\x1b\[\?2004l$`)
	if !d.Cooked() {
		t.Error("the terminal is not restored")
	}
	close(release)
}

// A signal that suspends the program restores the terminal before. After it, the line is
// there again.
func TestSuspended(t *testing.T) {
	onTerminals(t, func(t *testing.T, columns, rows int) {
		d := sit(t, columns, rows)
		cooked := make(chan bool, 1)
		raise = func(syscall.Signal, chan os.Signal) { cooked <- d.Cooked() }
		defer func() { raise = raiseSignal }()
		for _, c := range []struct{ typed, before, after string }{
			{"echo half", `^> echo half▁$`, `^> echo half▁$`},
			{"\x15start 1\recho half", `^1 is at work\n> echo half▁$`, `^> start 1\n1 is at work\n> echo half▁$`},
			{"\x15wait 1\r", `^> wait 1\nwait waits: start is under way; stop\s+ends\s+it\.\n1 is at work\n> ▁$`, `^1 is at work\n> ▁$`},
			{"watch\r", `^look \d+$`, `^look \d+$`},
			{"q", `^> watch\n1 is at work\n> ▁$`, `^> watch\n1 is at work\n> ▁$`},
		} {
			d.Type(c.typed)
			d.Shows(c.before)
			d.screen.suspend(syscall.SIGTSTP, nil)
			if !<-cooked {
				t.Errorf("%q: the terminal is not restored", c.typed)
			}
			d.Shows(c.after)
			if d.Cooked() {
				t.Errorf("%q: the terminal is not taken again", c.typed)
			}
		}
	})
}

// Without a terminal nothing takes an interrupt: it ends the program at once, as a service
// manager expects.
func TestInterruptWithoutTerminal(t *testing.T) {
	ctx, in := newContext(t.Context())
	var out strings.Builder
	c := &Console{Screen: NewScreen(&out, io.Discard, false), Losing: func() string { return "much" }}
	c.Commands = []Command{{Name: "wait", Run: func(ctx context.Context, _ *Call) error {
		if in.interrupt() {
			t.Error("it is taken")
		}
		in.end()
		<-ctx.Done()
		return ctx.Err()
	}}}
	if err := c.Run(ctx, strings.NewReader("wait\nwait\n")); err != nil || out.String() != "Interrupted: wait\n" {
		t.Errorf("%v, it prints %q", err, out.String())
	}
}
