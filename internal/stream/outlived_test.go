package stream

import (
	"testing"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// A sink answers a refused request only if it is of an earlier incarnation than it remembers.
func TestAnEarlierIncarnationIsAnswered(t *testing.T) {
	r := NewReceiver(20, 1, 10, 500, 7, 1000)
	for _, c := range []struct{ inc, gen, remembered uint64 }{
		{499, 7, 500}, {1, 900, 500}, // earlier incarnations, with any streams
		{500, 6, 0}, {500, 7, 0}, {501, 1, 0}, // late, repeated, and a later one
	} {
		out := frames(r.AppendOlder(nil, 0, c.inc, c.gen))
		if c.remembered == 0 {
			if len(out) > 0 {
				t.Errorf("incarnation %d, stream %d: %v", c.inc, c.gen, out)
			}
			continue
		}
		if len(out) != 1 || out[0].Type() != wire.Refuse || out[0].Dst() != 10 || out[0].Seq() != c.gen {
			t.Fatalf("incarnation %d, stream %d: %v", c.inc, c.gen, out)
		}
		b, err := wire.ParseRefuse(out[0].Body())
		if want := (wire.RefuseBody{SourceIncarnation: c.inc, Reason: wire.RefuseOlder, Remembered: c.remembered}); err != nil || b != want {
			t.Errorf("%+v, %v", b, err)
		}
	}
}

// A source notes a later incarnation only if the answer is to its present one, and is valid.
// Accepted messages stay: the stream does not end by it.
func TestOnlyAnAnswerToThisIncarnationCounts(t *testing.T) {
	s := NewSender(10, 400, 20, 5)
	s.Start(time.Second, nil)
	s.Push(0, []byte("x"))
	for _, c := range []struct {
		gen  uint64
		body wire.RefuseBody
	}{
		{5, wire.RefuseBody{SourceIncarnation: 300, Reason: wire.RefuseOlder, Remembered: 500}}, // to an earlier incarnation
		{4, wire.RefuseBody{SourceIncarnation: 400, Reason: wire.RefuseOlder, Remembered: 500}}, // to an earlier stream
		{5, wire.RefuseBody{SourceIncarnation: 400, Reason: wire.RefuseOlder, Remembered: 400}}, // not later
		{5, wire.RefuseBody{SourceIncarnation: 400, Reason: wire.RefuseOlder}},
		{5, wire.RefuseBody{SourceIncarnation: 400, Reason: wire.RefuseStreams, Remembered: 500}},
	} {
		if s.Refused(c.gen, c.body); s.NewerIncarnation() != 0 {
			t.Fatalf("%d, %+v: outlived by %d", c.gen, c.body, s.NewerIncarnation())
		}
	}
	s.Refused(5, wire.RefuseBody{SourceIncarnation: 400, Reason: wire.RefuseOlder, Remembered: 500})
	if s.NewerIncarnation() != 500 || s.State() != Opening || s.Pending() != 1 {
		t.Errorf("outlived by %d, state %d, %d pending", s.NewerIncarnation(), s.State(), s.Pending())
	}

	s.Opened(2*time.Second, 5, wire.OpenedBody{SourceIncarnation: 400, First: 7, Window: 1 << 16}, 0, nil) // it has forgotten
	if s.NewerIncarnation() != 0 || s.State() != Open {
		t.Errorf("outlived by %d, state %d, though the sink has opened the stream", s.NewerIncarnation(), s.State())
	}

	open := NewSender(10, 400, 20, 6)
	open.Start(time.Second, nil)
	open.Opened(2*time.Second, 6, wire.OpenedBody{SourceIncarnation: 400, First: 7, Window: 1 << 16}, 0, nil)
	open.Refused(6, wire.RefuseBody{SourceIncarnation: 400, Reason: wire.RefuseOlder, Remembered: 500})
	if open.NewerIncarnation() != 0 || open.State() != Open {
		t.Error("a stream that the sink has opened was refused")
	}
}
