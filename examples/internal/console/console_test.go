package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// session runs lines through a console with a few commands and returns the output.
func session(t *testing.T, in string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, err bytes.Buffer
	c := &Console{Screen: NewScreen(&out, &err, false), Name: "desk", Notes: "the notes\n", Ended: cancel}
	c.Nodes = func() Nodes { return Nodes{{ID: 42, Addr: "a:1"}, {ID: 43, Addr: "b:2"}} }
	echo := func(_ context.Context, call *Call) error {
		call.Screen.Say("said")
		call.Show(call.Args, fmt.Sprintf("%q", call.Args))
		return nil
	}
	c.Commands = []Command{
		{Name: "echo-words", Short: "echo", Args: "[a] [b]", Max: 2, Run: echo, Help: "prints words",
			More: "Two of them at most.", Examples: []string{"echo", "echo-words {a} {b}"}},
		{Name: "say", Args: "id text", Min: 2, Max: 2, Text: true, Run: echo, Help: "prints text"},
		{Name: "fail", Run: func(context.Context, *Call) error { return errors.New("ringdht: desk: it failed\ntwice") }},
		{Name: "count", Args: "n", Min: 1, Max: 1, Run: func(_ context.Context, call *Call) error {
			_, err := Number("n", call.Args[0], 1)
			return err
		}},
		{Name: "quit", Run: func(context.Context, *Call) error { return ErrQuit }},
	}
	c.Run(ctx, strings.NewReader(in))
	return out.String(), err.String()
}

func TestConsole(t *testing.T) {
	for _, c := range []struct{ in, out, err string }{
		{"echo-words\necho a\n echo  a\tb \n", "said\n[]\nsaid\n[\"a\"]\nsaid\n[\"a\" \"b\"]\n", ""},
		{"echo last line without an end", "", "echo-words: expected [a] [b] (usage: echo-words [a] [b])\n"},
		{"echo a", "said\n[\"a\"]\n", ""},
		{"e-w a\necho-w\nec\n", "said\n[\"a\"]\nsaid\n[]\nsaid\n[]\n", ""},
		{"say 5  hello,  you \r\n", "said\n[\"5\" \"hello,  you\"]\n", ""},
		{"say 5\n", "", "say: expected id text (usage: say id text)\n"},
		{"\n\n# echo a\n   \n", "", ""},
		{"fail\necho a\n", "said\n[\"a\"]\n", "it failed; twice\n"},
		{"fail x\n", "", "fail: expected no arguments (usage: fail)\n"},
		{"count 0\n", "", "count: n must be a whole number of at least 1, not \"0\" (usage: count n)\n"},
		{"quit\necho a\n", "", ""},
		// -json comes after the name or at the end; free text keeps it. Then stdout has the
		// result only.
		{"echo a -json\necho -json a\n", "[\"a\"]\n[\"a\"]\n", "said\nsaid\n"},
		{"say -json 5 a -json\nsay 5 -json\n", "[\"5\",\"a -json\"]\nsaid\n[\"5\" \"-json\"]\n", "said\n"},
		{"fail -json\necho a b c -json\ncount 0 -json\n", `{"error":"it failed; twice"}
{"error":"echo-words: expected [a] [b] (usage: echo-words [a] [b])"}
{"error":"count: n must be a whole number of at least 1, not \"0\" (usage: count n)"}
`, ""},
		{"echo a -jsn\n", "said\n[\"a\" \"-jsn\"]\n", ""},
		{"help\n", `command             short  what it does
echo-words [a] [b]  echo   prints words
say id text                prints text
fail
count n
quit
help [command]             lists the commands, or explains one and shows examples

Names can be abbreviated, see help help. For examples of a command, type help and its name.
the notes
`, ""},
		{"h ec\n", `usage: echo-words [a] [b]
short: echo

Prints words. Two of them at most.

For example:
  echo
  echo-words 42 43
`, ""},
		{"help echo -json\n", `{"name":"echo-words","short":"echo","args":"[a] [b]","help":"prints words","more":"Two of them at most.","examples":["echo","echo-words 42 43"]}
`, ""},
		{"help fail\n", "usage: fail\n", ""},
	} {
		out, err := session(t, c.in)
		if out != c.out || err != c.err {
			t.Errorf("%.40q\nprints %q\n   and %q\n  want %q\n   and %q", c.in, out, err, c.out, c.err)
		}
	}
}

// An interrupt ends the console while it waits for a line, and while a command runs.
func TestInterrupt(t *testing.T) {
	in, typed := io.Pipe()
	defer typed.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	(&Console{Screen: NewScreen(io.Discard, io.Discard, false)}).Run(ctx, in)

	ctx, cancel = context.WithCancel(t.Context())
	var out bytes.Buffer
	c := &Console{Screen: NewScreen(&out, io.Discard, false)}
	c.Commands = []Command{{Name: "wait", Run: func(ctx context.Context, _ *Call) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}}
	c.Run(ctx, strings.NewReader("wait\nwait\n"))
	if got := out.String(); got != "Interrupted: wait\n" {
		t.Errorf("it prints %q", got)
	}
}

// On a terminal, progress and prompt are in the last line and move out of the way of other
// output.
func TestLiveLine(t *testing.T) {
	var out, err bytes.Buffer
	s := NewScreen(&out, &err, false)
	s.out.terminal = true
	step := func(what func(), want string) {
		t.Helper()
		out.Reset()
		if what(); out.String() != want {
			t.Errorf("got %q, want %q", out.String(), want)
		}
	}
	step(func() { s.Progress("%d of 9", 1) }, "1 of 9")
	step(func() { s.Progress("%d of 9", 2) }, "\r\x1b[K2 of 9")
	step(func() { s.Print("news") }, "\r\x1b[Knews\n2 of 9")
	step(func() { s.Complain("trouble") }, "\r\x1b[K2 of 9")
	step(func() { s.Done() }, "\r\x1b[K")
	step(func() { s.Print("a\nb\n") }, "a\nb\n")
	if err.String() != "trouble\n" {
		t.Errorf("complaints are %q", err.String())
	}
}

func TestQuiet(t *testing.T) {
	var out, err bytes.Buffer
	s := NewScreen(&out, &err, true)
	s.Print("result")
	s.Say("notice")
	s.Progress("1 of 9")
	s.Done()
	if out.String() != "result\n" || err.String() != "notice\n1 of 9\n" {
		t.Errorf("got %q and %q", out.String(), err.String())
	}
}

func TestWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := NewScreen(&out, io.Discard, false)
		broken := errors.New("broken")
		n := 0
		err := s.While(func() error {
			time.Sleep(2500 * time.Millisecond)
			return broken
		}, func() string {
			n++
			return fmt.Sprintf("at %d", n)
		})
		if err != broken || out.String() != "at 1\nat 2\n" {
			t.Errorf("got %v and %q", err, out.String())
		}
	})
}

// Text from another machine cannot control the terminal, wherever it is printed. In JSON it
// cannot either, and it decodes to the same text.
func TestScreenIsPlain(t *testing.T) {
	const evil = "\x1bc\x1b]0;owned\a\rVerdict\x7f\u009b31m\x9b31m\u202e"
	var out, err bytes.Buffer
	s := NewScreen(&out, &err, false)
	s.Print(evil + "\nsecond line\n")
	s.Say("%s", evil)
	s.Complain("%s", evil)
	s.Progress("%s", evil)
	io.WriteString(s.Errors(), evil)
	s.Complain("%s", Text(errors.New(evil)))
	s.Print(Document([]string{evil}))
	for _, r := range out.String() + err.String() {
		if r != '\n' && !strconv.IsPrint(r) {
			t.Errorf("%q gets through", r)
		}
	}
	if !strings.Contains(out.String(), "\nsecond line\n") {
		t.Errorf("lines are lost: %q", &out)
	}
	for _, want := range []string{"a\u009bb\x7fc\u202ed", "ü € 𝄞 \u00a0", "\x1b\n"} {
		var got string
		text := Document(want)
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want || strings.ContainsAny(text, "\u009b\x7f\u202e\x1b") {
			t.Errorf("%q is %s, which is %q, %v", want, text, got, err)
		}
	}
}
