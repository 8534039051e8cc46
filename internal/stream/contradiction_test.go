package stream

import (
	"errors"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// A relay that makes up answers must not silence a pair: the sink's next answer ends the stream.
func TestContradictionEndsTheStream(t *testing.T) {
	for name, c := range map[string]struct {
		second func(*Sender)
		ends   bool
	}{
		"less is handled":     {func(s *Sender) { acked(t, s, 1030*ms, 1, 4, 1000, 2) }, true},
		"less is received":    {func(s *Sender) { acked(t, s, 1030*ms, 2, 2, 1000, 2) }, true},
		"of the far past":     {func(s *Sender) { acked(t, s, 1030*ms, 0, 1, 1000, 2) }, true},
		"with messages held":  {func(s *Sender) { acked(t, s, 1030*ms, 0, 0, 1000, 2, wire.Range{From: 3, N: 1}) }, true},
		"a round not asked":   {func(s *Sender) { acked(t, s, 1030*ms, 2, 3, 1000, 3) }, true},
		"a late answer":       {func(s *Sender) { acked(t, s, 1030*ms, 1, 2, 1000, 1) }, false},
		"the same again":      {func(s *Sender) { acked(t, s, 1030*ms, 2, 3, 1000, 2) }, false},
		"of another stream":   {func(s *Sender) { acked(t, s, 1030*ms, -1, 3, 1000, 2) }, false},
		"beyond what is sent": {func(s *Sender) { acked(t, s, 1030*ms, 5, 5, 1000, 3) }, false},
	} {
		s := open(t, 1000)
		push(s, 4, 100)
		s.Flush(1011*ms, nil) // round 1
		acked(t, s, 1020*ms, 2, 3, 1000, 1)
		if n := s.latest.round; n != 2 { // it asks again, behind the repetition
			t.Fatalf("%s: round %d", name, n)
		}
		c.second(s)
		if ended := s.State() == Ended; ended != c.ends || ended && !errors.Is(s.Err(), ErrContradiction) || s.Pending() != 2 {
			t.Errorf("%s: state %d, %v, pending %d", name, s.State(), s.Err(), s.Pending())
		}
	}
	if !errors.Is(ErrContradiction, ErrGone) {
		t.Error("programs do not see that the stream is gone")
	}
}

// A false answer said that all was handled. The source closes the stream, and the sink answers that
// it misses something: first that may be late, and then it is the answer to a question.
func TestContradictionWhileClosing(t *testing.T) {
	s := open(t, 1000)
	push(s, 1, 100)
	acked(t, s, 1020*ms, 1, 1, 1000, 0)
	s.Close(1030*ms, nil)
	acked(t, s, 1040*ms, 0, 0, 1000, 0)
	f := frames(s.Tick(9000*ms, nil))
	if s.State() != Closing || len(f) != 2 || f[0].Type() != wire.Sync || f[1].Type() != wire.Close {
		t.Fatal(s.State(), show(nil), f)
	}
	acked(t, s, 9010*ms, 0, 0, 1000, 1)
	if s.State() != Ended || s.Err() != nil || s.Stale() != 1 {
		t.Error(s.State(), s.Err(), s.Stale())
	}
}
