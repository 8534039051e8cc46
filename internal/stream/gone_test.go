package stream

import (
	"errors"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// Only a stream that is open with that incarnation, or with an earlier one, ends.
func TestGone(t *testing.T) {
	for name, c := range map[string]struct {
		s    *Sender
		inc  uint64
		want error
	}{
		"that incarnation":    {open(t, 1000), 9, ErrGone},
		"a later incarnation": {open(t, 1000), 10, ErrGone},
		"the one before":      {open(t, 1000), 8, nil},
		"not open yet":        {opening(t), 9, nil},
	} {
		push(c.s, 2, 100)
		before := c.s.State()
		c.s.Evicted(c.inc)
		if !errors.Is(c.s.Err(), c.want) || (c.s.State() == Ended) != (c.want != nil) || c.want == nil && c.s.State() != before {
			t.Errorf("%s is gone: state %d, %v", name, c.s.State(), c.s.Err())
		}
	}
	closing := open(t, 1000)
	closing.Close(1011*ms, nil)
	if closing.Evicted(9); closing.State() != Ended || closing.PeerIncarnation() != 9 {
		t.Error("closing:", closing.State(), closing.PeerIncarnation())
	}
}

// No node has that ID: if the sink has never answered, it never existed.
func TestNoSuchNode(t *testing.T) {
	s := opening(t)
	if s.NoSuchNode(); !errors.Is(s.Err(), ErrNoSuchNode) || s.PeerIncarnation() != 0 {
		t.Error("opening:", s.Err())
	}
	s = open(t, 1000)
	if s.NoSuchNode(); !errors.Is(s.Err(), ErrGone) {
		t.Error("open:", s.Err())
	}
	s.Fail(errTest)
	if s.NoSuchNode(); !errors.Is(s.Err(), ErrGone) {
		t.Error("ended twice:", s.Err())
	}
}

// Pending messages can be read when the stream ends, oldest first: sent, then not sent.
func TestUnacknowledged(t *testing.T) {
	bodies := func(s *Sender) (b []byte) {
		for _, body := range s.Unacknowledged() {
			b = append(b, body...)
		}
		return b
	}
	for name, c := range map[string]struct {
		end  func(*Sender)
		want string
	}{
		"reset":    {func(s *Sender) { s.Reset(first + 3) }, "bcde"},
		"no route": {func(s *Sender) { s.NoRoute(first+2, wire.NoRouteBody{Type: wire.Data, Reason: wire.NoSuchNode}) }, "bcde"},
		"failure":  {func(s *Sender) { s.Fail(errTest) }, "bcde"},
		"gone":     {func(s *Sender) { s.Evicted(9) }, "bcde"},
		"closed": {func(s *Sender) {
			acked(t, s, 1030*ms, 3, 3, 1000, 0)
			acked(t, s, 1040*ms, 5, 5, 1000, 0)
			s.Close(1050*ms, nil)
			s.Closed(first + 5)
		}, ""},
	} {
		s := open(t, 100)
		for i := range 5 { // three fit
			s.Push(0, []byte{'a' + byte(i)})
		}
		acked(t, s, 1020*ms, 1, 1, 66, 0)
		if got := bodies(s); got == nil || string(got) != "bcde" || s.Backlog() == 0 {
			t.Fatalf("%q pending, backlog of %d bytes", got, s.Backlog())
		}
		var got []byte
		calls := 0
		s.OnEnd(func() { got, calls = bodies(s), calls+1 })
		c.end(s)
		if calls != 1 || string(got) != c.want || s.State() != Ended || bodies(s) != nil {
			t.Errorf("%s: called %d times, with %q pending, then %q", name, calls, got, bodies(s))
		}
	}
	s := opening(t) // messages that wait for the grant count as well
	push(s, 2, 40)
	n := 0
	s.OnEnd(func() {
		for range s.Unacknowledged() {
			n++
		}
	})
	if s.NoSuchNode(); n != 2 {
		t.Errorf("%d of 2 messages that were accepted early", n)
	}
	s = open(t, 1000)
	push(s, 3, 40)
	for range s.Unacknowledged() {
		break // a loop may end early
	}
}

// A sink that ends a stream by Reset after the last acknowledgement loses nothing.
func TestOrderlyReset(t *testing.T) {
	s, r := open(t, 1000), receiver()
	push(s, 2, 100)
	arrive(t, r, Accepted, 0, 1)
	wantTaken(t, r, 0, 1)
	r.Handled(2)
	ack, reset := wire.Frame(r.AppendAck(nil, 1000)), wire.Frame(r.AppendReset(nil))
	if r.PeerIncarnation() != 7 || reset.Type() != wire.Reset || reset.Dst() != 1 {
		t.Fatal(reset, r.PeerIncarnation())
	}
	s.Ack(1020*ms, ack.Seq(), ack.Body(), nil)
	if s.Reset(reset.Seq()); s.State() != Ended || s.Err() != nil {
		t.Errorf("state %d, %v", s.State(), s.Err())
	}
	arrive(t, r, Held, 3)
	if r.Abandon(); r.Bytes() != 0 {
		t.Error("held although the source is gone")
	}
}
