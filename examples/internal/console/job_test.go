package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// script runs lines of a pipe through a console. The command work takes a moment in which
// list can run: it waits for go.
func script(t *testing.T, in io.Reader, strict bool) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, complaints bytes.Buffer
	s := NewScreen(&out, &complaints, false)
	goes := make(chan bool, 10)
	c := &Console{Screen: s, Strict: strict, Ended: func() { s.Say("ended"); cancel() }, Commands: []Command{
		{Name: "work", Args: "[n]", Max: 1, Background: true, Run: func(ctx context.Context, call *Call) error {
			if call.Background {
				select {
				case <-goes:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			call.Show(call.Args, fmt.Sprint("worked ", call.Args))
			return nil
		}},
		{Name: "go", Beside: true, Run: func(_ context.Context, call *Call) error {
			call.Screen.Say("goes")
			goes <- true
			return nil
		}},
		{Name: "echo", Args: "[a]", Max: 1, Run: func(_ context.Context, call *Call) error {
			call.Show(call.Args, fmt.Sprint("echo ", call.Args))
			return nil
		}},
		{Name: "say", Args: "id text", Min: 2, Max: 2, Text: true, Run: func(_ context.Context, call *Call) error {
			call.Show(call.Args, fmt.Sprintf("say %q", call.Args))
			return nil
		}},
		{Name: "fail", Run: func(context.Context, *Call) error { return errors.New("it failed") }},
		{Name: "verdict", Run: func(_ context.Context, call *Call) error {
			call.Show("lost", "1 was lost")
			return Verdictf("not exact")
		}},
		{Name: "quit", Ends: true, Run: func(context.Context, *Call) error { return ErrQuit }},
	}}
	err = c.Run(ctx, in)
	return out.String(), complaints.String(), err
}

// From a pipe, a command ends before the next line, unless the line ends in &. At the end of
// the input it still ends, and prints.
func TestBackgroundOfScript(t *testing.T) {
	for _, c := range []struct{ in, out, err string }{
		{"work 1\necho a", "worked [1]\necho [a]\nended\n", ""},
		{"work 1 &\ngo\necho a\n", "goes\nworked [1]\necho [a]\nended\n", ""},
		{"work 1 -json &\ngo", "goes\n[\"1\"]\nended\n", ""},
		{"echo a &\n", "ended\n", "echo: it does not run in the background, so it takes no & (usage: echo [a])\n"},
		{"say 5 you & me &\n", "say [\"5\" \"you & me &\"]\nended\n", ""},
		{"echo a&\n", "echo [a&]\nended\n", ""},
	} {
		if out, errs, err := script(t, strings.NewReader(c.in), false); out != c.out || errs != c.err || err != nil {
			t.Errorf("%q prints\n%s%s%v, want\n%s%s", c.in, out, errs, err, c.out, c.err)
		}
	}
}

// A strict console ends at the first command that fails, and says which.
func TestStrict(t *testing.T) {
	for _, c := range []struct{ in, out, complaints, err string }{
		{"echo a\n\nfail\necho b\n", "echo [a]\n", "it failed\n", "line 3 failed, so -strict ends the program: fail"},
		{"verdict\necho b\n", "1 was lost\n", "", "line 1 failed, so -strict ends the program: verdict"},
		{"verdict -json\n", "\"lost\"\n", "", "line 1 failed, so -strict ends the program: verdict -json"},
		{"foo\n", "", "unknown command \"foo\": type help for the list\n", "line 1 failed, so -strict ends the program: foo"},
		{"echo a b\n", "", "echo: expected [a] (usage: echo [a])\n", "line 1 failed, so -strict ends the program: echo a b"},
		{"# fine\necho a\nquit\n", "echo [a]\n", "", ""},
	} {
		out, complaints, err := script(t, strings.NewReader(c.in), true)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if out != c.out || complaints != c.complaints || text != c.err {
			t.Errorf("%q prints %q and %q, and ends with %v", c.in, out, complaints, err)
		}
		if code := Exit("desk", io.Discard, err); code != min(1, len(c.err)) {
			t.Errorf("%q: exit status %d", c.in, code)
		}
	}
	// Without strictness a verdict is printed once, and the console goes on.
	if out, complaints, err := script(t, strings.NewReader("verdict\necho b\n"), false); out != "1 was lost\necho [b]\nended\n" || complaints != "" || err != nil {
		t.Errorf("%q, %q, %v", out, complaints, err)
	}
}

// endless is a line without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// A line that is too long is one error, costs no memory, and the next is read. The last line
// needs no end. Bytes that are no text do no harm.
func TestLines(t *testing.T) {
	const long = "the line is too long and was not executed: a line has at most 1048575 bytes\n"
	fits := strings.Repeat("x", maxLine-len("echo "))
	for _, c := range []struct {
		name    string
		in      io.Reader
		out, ch string
	}{
		{"the longest", strings.NewReader("echo " + fits + "\necho a"), "echo [" + fits + "]\necho [a]\nended\n", ""},
		{"one more", strings.NewReader("echo " + fits + "x\necho a"), "echo [a]\nended\n", long},
		{"8 MiB", strings.NewReader(strings.Repeat("echo ", 8<<18) + "\necho a\n"), "echo [a]\nended\n", long},
		{"the last", io.LimitReader(endless{}, 3<<20), "ended\n", long},
		{"byte by byte", iotest.OneByteReader(strings.NewReader("echo a\r\necho b")), "echo [a]\necho [b]\nended\n", ""},
		{"no text", strings.NewReader("echo \x00\xff\n\x00\n\xfe\xff\necho \u202e"), "echo [\ufffd\ufffd]\necho [\ufffd]\nended\n",
			"unknown command \"\\x00\": type help for the list\nunknown command \"\\xfe\\xff\": type help for the list\n"},
		{"broken", io.MultiReader(strings.NewReader("echo a\necho b"), iotest.ErrReader(errors.New("broken"))),
			"echo [a]\necho [b]\nended\n", "cannot read more commands: broken\n"},
	} {
		out, complaints, err := script(t, c.in, false)
		if out != c.out || complaints != c.ch || err != nil {
			t.Errorf("%s: it prints %.200q and %.200q, %v", c.name, out, complaints, err)
		}
	}
	in := newInput(io.MultiReader(io.LimitReader(endless{}, 64<<20), strings.NewReader("\n")))
	per := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		in.read()
	})
	if bytes := per.AllocedBytesPerOp(); bytes > 8*maxLine {
		t.Errorf("a line of 64 MiB costs %d bytes", bytes)
	}
}
