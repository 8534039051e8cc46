package console

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

// fullAtFirst is a disk that has no room for some writes.
type fullAtFirst struct {
	bytes.Buffer
	refuse int
}

var errFull = errors.New("no room")

func (f *fullAtFirst) Write(b []byte) (int, error) {
	if f.refuse > 0 {
		f.refuse--
		return 0, errFull
	}
	return f.Buffer.Write(b)
}

// A console that cannot print results reports it once, goes on, prints again when there is
// room, and returns an error at the end.
func TestLostOutput(t *testing.T) {
	for _, before := range []bool{false, true} { // whether something is printed before the console runs
		out, err := fullAtFirst{refuse: 2}, bytes.Buffer{}
		s := NewScreen(&out, &err, false)
		if before {
			s.Say("listening")
			if err.Len() > 0 || s.Ended(nil) == nil {
				t.Errorf("a program that may end at once says %q, error %v", err.String(), s.Ended(nil))
			}
		}
		c := &Console{Screen: s, Commands: []Command{
			{Name: "say", Args: "word", Min: 1, Max: 1, Run: func(_ context.Context, call *Call) error {
				call.Show(call.Args[0], call.Args[0])
				return nil
			}},
			{Name: "quit", Run: func(context.Context, *Call) error { return ErrQuit }},
		}}
		c.Run(t.Context(), strings.NewReader("say one\nsay -json two\nsay three\nquit\n"))
		want := "three\n"
		if before {
			want = "\"two\"\nthree\n"
		}
		if out.String() != want || err.String() != "Output is lost: no room\n" {
			t.Errorf("stdout %q, stderr %q", out.String(), err.String())
		}
		other := errors.New("another")
		if end := s.Ended(other); !errors.Is(end, errFull) || !errors.Is(end, other) || !errors.Is(s.Ended(nil), errFull) {
			t.Errorf("it ends with %v", end)
		}
	}
	full := fullAtFirst{refuse: 1}
	s := NewScreen(&bytes.Buffer{}, &full, false)
	s.keepRunning()
	s.Complain("something")
	if err := s.Ended(nil); err != nil || full.Len() > 0 {
		t.Errorf("errors are no results: %v, stderr %q", err, full.String())
	}
}
