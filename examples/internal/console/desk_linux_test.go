package console

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/examples/internal/drive"
)

// desk is a console on a terminal of its own.
type desk struct {
	*drive.Terminal
	t       *testing.T
	screen  *Screen
	console *Console
	in      *interrupts
	ctx     context.Context
	ended   chan error // receives what Run returns

	release chan error // ends start and wait with an error or without
}

// sit starts a console on a terminal. It ends with the test.
func sit(t *testing.T, columns, rows int, change ...func(*desk)) *desk {
	t.Helper()
	t.Setenv("TERM", "xterm")
	d := &desk{Terminal: drive.OpenTerminal(t, columns, rows), t: t, ended: make(chan error, 1), release: make(chan error)}
	d.screen = NewScreen(d.Program, d.Program, false)
	d.ctx, d.in = newContext(t.Context())
	d.console = &Console{Screen: d.screen, Name: "desk", period: 100 * time.Millisecond, Commands: d.commands()}
	d.console.Nodes = func() Nodes {
		return Nodes{{ID: 4211, Addr: "127.0.0.1:81"}, {ID: 4242, Addr: "127.0.0.1:82"}, {ID: 7, Addr: "127.0.0.1:83"}}
	}
	for _, c := range change {
		c(d)
	}
	go func() { d.ended <- d.console.Run(d.ctx, d.Program) }()
	t.Cleanup(func() {
		d.in.end()
		select {
		case err := <-d.ended:
			d.ended <- err
		case <-time.After(time.Minute):
			t.Error("the console does not end")
		}
		cooked := d.Cooked()
		d.Program.WriteString("drained")
		d.Expect("drained")
		if text := d.Text(); !cooked || strings.LastIndex(text, marksOn) > strings.LastIndex(text, marksOff) {
			t.Errorf("the terminal is not what it was: %v, %q", cooked, text[max(0, len(text)-100):])
		}
	})
	d.Shows(`^> ▁$`)
	return d
}

// end returns what Run returns.
func (d *desk) end() error {
	d.t.Helper()
	select {
	case err := <-d.ended:
		d.ended <- nil
		return err
	case <-time.After(time.Minute):
		d.t.Fatalf("the console does not end:\n%s", d.Screen())
		return nil
	}
}

func (d *desk) commands() []Command {
	blocks := func(ctx context.Context, call *Call) error {
		call.Screen.Progress("%s is at work", call.Args[0])
		defer call.Screen.Done()
		select {
		case err := <-d.release:
			if err == nil {
				call.Show("done", "result of "+call.Args[0])
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	echo := func(_ context.Context, call *Call) error {
		call.Show(call.Args, "echo "+strings.Join(call.Args, ","))
		return nil
	}
	return []Command{
		{Name: "start", Args: "n", Min: 1, Max: 1, Background: true, Run: blocks},
		{Name: "wait", Args: "n", Min: 1, Max: 1, Run: blocks},
		{Name: "echo", Args: "[a] [b]", Max: 2, Run: echo},
		{Name: "list-nodes", Short: "nodes", Beside: true, Help: "lists nodes", Run: func(_ context.Context, call *Call) error {
			call.Show(nil, "a list")
			return nil
		}},
		{Name: "list-runs", Run: echo},
		{Name: "send", Args: "node text", Min: 2, Max: 2, Text: true, Run: echo},
		{Name: "trace", Args: "a b", Min: 2, Max: 2, Run: echo},
		{Name: "verdict", Run: func(_ context.Context, call *Call) error {
			call.Show(nil, "1 was lost")
			return Verdictf("not exact")
		}},
		{Name: "watch", Args: "[seconds]", Max: 1, Beside: true, Run: func(ctx context.Context, call *Call) error {
			seconds := 0
			if len(call.Args) > 0 {
				seconds, _ = Number("seconds", call.Args[0], 1)
			}
			return call.Watch(ctx, &counted{lines: picture}, seconds, nil)
		}},
		{Name: "stop", Beside: true, Run: func(ctx context.Context, call *Call) error {
			line, ok := call.Stop(ctx)
			call.Show(line, fmt.Sprintf("stopped %q, %v", line, ok))
			return nil
		}},
		{Name: "quit", Also: []string{"exit"}, Ends: true, Beside: true, Run: func(context.Context, *Call) error { return ErrQuit }},
	}
}
