package stream

import (
	"errors"
	"testing"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// Messages accepted while a stream opens are numbered and sent in order once it is open, and
// an earlier flush asks behind them.
func TestMessagesAcceptedEarly(t *testing.T) {
	s := NewSender(10, 1, 20, 5)
	out := s.Start(time.Second, nil)
	for i := range byte(3) {
		if s.Push(0, []byte{i}) > 0 {
			t.Fatal("a message was sent on a stream that is not open")
		}
	}
	out = s.Flush(time.Second, out[:0])
	if len(out) != 0 || s.Pending() != 3 || s.Bytes() != 3*(wire.HeaderSize+1) {
		t.Fatalf("%d bytes to send, %d pending, %d bytes held", len(out), s.Pending(), s.Bytes())
	}
	const first = 1000
	out = s.Opened(2*time.Second, 5, wire.OpenedBody{SourceIncarnation: 1, First: first, Window: 1 << 16}, 0, nil)
	for i := range uint64(3) {
		var f wire.Frame
		f, out = wire.Next(out)
		if f.Type() != wire.Data || f.Seq() != first+i || f.Body()[0] != byte(i) {
			t.Fatalf("message %d is a %v with number %d", i, f.Type(), f.Seq())
		}
	}
	f, out := wire.Next(out)
	if f.Type() != wire.Sync || f.Seq() != first+3 || len(out) != 0 {
		t.Fatalf("behind them: a %v of %d, and %d bytes", f.Type(), f.Seq(), len(out))
	}
	if f := pushFrame(s, 0, nil); f == nil || f.Seq() != first+3 {
		t.Fatal("the next message does not follow")
	}
	if _, _, err := s.Ack(3*time.Second, first+3, wire.AckBody{Window: 1 << 16, Round: 1}.Append(nil, nil), nil); err != nil {
		t.Fatal(err)
	}
	if accepted, delivered := s.Progress(); accepted != 4 || delivered != 3 || s.Pending() != 1 {
		t.Errorf("accepted %d, delivered %d, pending %d", accepted, delivered, s.Pending())
	}
}

// If the sink turns out not to exist, these messages have no outcome, and are counted.
func TestMessagesAcceptedEarlyForNobody(t *testing.T) {
	s := NewSender(10, 1, 20, 5)
	s.Start(time.Second, nil)
	s.Push(0, []byte("x"))
	s.NoRoute(5, wire.NoRouteBody{Type: wire.Open, Reason: wire.NoSuchNode, Dst: 20})
	if s.State() != Ended || !errors.Is(s.Err(), ErrNoSuchNode) || s.Pending() != 1 || s.Bytes() != 0 {
		t.Errorf("state %d, %v, %d pending, %d bytes", s.State(), s.Err(), s.Pending(), s.Bytes())
	}
}

// A refusal does not undo an acceptance: the sink is asked again until it has room.
func TestRefusalDoesNotUndoWhatWasAccepted(t *testing.T) {
	s := NewSender(10, 1, 20, 5)
	s.Start(time.Second, nil)
	s.Push(0, []byte("x"))
	refusal := wire.RefuseBody{SourceIncarnation: 1, Reason: wire.RefuseStreams}
	now := Time(time.Second)
	for range 20 {
		s.Refused(5, refusal)
		if s.State() != Opening || s.Pending() != 1 {
			t.Fatalf("state %d, %d pending", s.State(), s.Pending())
		}
		now += MaxRTO
		if f := frames(s.Tick(now, nil)); len(f) != 1 || f[0].Type() != wire.Open {
			t.Fatalf("after %v: %v", now, f)
		}
	}
	out := s.Opened(now, 5, wire.OpenedBody{SourceIncarnation: 1, First: 7, Window: 1 << 16}, 0, nil)
	if f := frames(out); len(f) != 1 || f[0].Type() != wire.Data || f[0].Seq() != 7 {
		t.Fatal(f)
	}

	idle := NewSender(10, 1, 20, 6)
	idle.Start(time.Second, nil)
	idle.Refused(6, refusal)
	if idle.State() != Ended || !errors.Is(idle.Err(), ErrRefused) {
		t.Errorf("nothing accepted: state %d, %v", idle.State(), idle.Err())
	}
}
