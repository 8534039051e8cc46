package stream

import (
	"errors"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// A sink that leaves takes nothing from the cut on, and sends Farewell when its handler is
// done with all below.
func TestCut(t *testing.T) {
	r := receiver()
	arrive(t, r, Accepted, 0, 1, 2)
	arrive(t, r, Held, 5)
	r.Cut()
	if r.Bytes() != 300 {
		t.Errorf("%d bytes, want 300: what is ahead of the gap goes", r.Bytes())
	}
	arrive(t, r, Beyond, 3, 4, 5)
	arrive(t, r, Duplicate, 1)
	arrive(t, r, Stale, -1, maxAhead+3)
	if n := r.DataBatch(dataFrame(3, 100), plenty); n != 0 {
		t.Errorf("a run of %d bytes behind the cut", n)
	}
	want(t, r.AppendAck(nil, 5000), "ack 0 received 3 window 0 round 0")
	wantTaken(t, r, 0, 1, 2)
	for done := range 3 {
		if r.Drained() {
			t.Fatalf("parted with %d of 3 messages handled", done)
		}
		r.Handled(1)
	}
	if !r.Drained() {
		t.Fatal("all is handled")
	}
	want(t, r.AppendFarewell(nil), "farewell 3")
	if r.Close(first+2) || !r.Close(first+3) {
		t.Error("the source confirms the number of the cut")
	}
}

// Deliveries of the previous stream are handled, too, before the sink sends Farewell.
func TestCutAfterANewStream(t *testing.T) {
	r := receiver()
	arrive(t, r, Accepted, 0, 1)
	r.Open(7, 4, first)
	arrive(t, r, Accepted, 0)
	r.Cut()
	for done := range 3 {
		if r.Drained() {
			t.Fatalf("parted with %d of 3 messages handled", done)
		}
		r.Handled(1)
	}
	if !r.Drained() || !r.Close(first+1) {
		t.Error("all is handled")
	}
	r = receiver()
	arrive(t, r, Accepted, 0)
	r.Cut()
	r.Open(7, 4, first)
	if r.Drained() {
		t.Error("parted with a message of the stream before")
	}
}

// Requests to open are told apart by incarnation and generation.
func TestLater(t *testing.T) {
	r := receiver()
	for _, c := range []struct {
		inc, gen uint64
		want     int
	}{{7, 3, 0}, {7, 4, 1}, {8, 1, 1}, {7, 2, -1}, {6, 9, -1}} {
		if got := r.CompareOpen(c.inc, c.gen); got != c.want {
			t.Errorf("incarnation %d generation %d: %d, want %d", c.inc, c.gen, got, c.want)
		}
	}
}

// The source learns exactly which messages were handled. What it knew before does not matter.
func TestFarewell(t *testing.T) {
	for name, c := range map[string]struct {
		acked, received int // before
		cut             int
		took            bool
		pending         uint64
	}{
		"nothing was handled":             {0, 0, 0, true, 5},
		"some of what was sent":           {0, 0, 2, true, 3},
		"all that was sent":               {1, 2, 3, true, 2},
		"what is known already":           {2, 2, 2, true, 3},
		"less than was received":          {1, 3, 2, false, 4},
		"less than was handled":           {2, 2, 1, false, 3},
		"more than was ever sent":         {0, 0, 4, false, 5},
		"a number of another incarnation": {0, 0, 1 << 30, false, 5},
	} {
		s := open(t, 100)
		push(s, 5, 33) // three fit, and two wait in the backlog
		if c.received > 0 {
			acked(t, s, 1020*ms, c.acked, c.received, 0, 0)
		}
		took := s.Farewell(1030*ms, first+uint64(c.cut))
		if took != c.took || s.Pending() != c.pending || (s.State() == Ended) != took || took && (s.Err() != ErrLeft || s.Unknown() != 0) {
			t.Errorf("%s: took it: %v, %d pending, %d unknown, state %d, %v", name, took, s.Pending(), s.Unknown(), s.State(), s.Err())
		}
		if took && s.Farewell(1040*ms, first+uint64(c.cut)) {
			t.Errorf("%s: again", name)
		}
	}
}

// A stream with nothing pending ends in good order, also while it closes. A stream that is
// opening takes no Farewell.
func TestFarewellInOtherStates(t *testing.T) {
	s := open(t, 100)
	push(s, 1, 40)
	if !s.Farewell(1020*ms, first+1) || s.Err() != nil || s.State() != Ended || s.Pending() != 0 {
		t.Error("all was handled:", s.State(), s.Err(), s.Pending())
	}
	s = open(t, 100)
	want(t, s.Close(1020*ms, nil), "close 0")
	if !s.Farewell(1030*ms, first) || s.Err() != nil || s.State() != Ended {
		t.Error("closing:", s.State(), s.Err())
	}
	s = opening(t)
	push(s, 2, 40)
	if s.Farewell(1020*ms, 0) || s.State() != Opening {
		t.Error("opening:", s.State())
	}
	s.Refused(3, wire.RefuseBody{SourceIncarnation: 7, Reason: wire.RefuseLeaving})
	if s.State() != Ended || s.Err() != ErrLeft || s.Pending() != 2 || s.Unknown() != 0 {
		t.Error("refused:", s.State(), s.Err(), s.Pending(), s.Unknown())
	}
	if !errors.Is(ErrLeft, ErrGone) || !errors.Is(ErrReset, ErrGone) || errors.Is(ErrGone, ErrLeft) || errors.Is(ErrGone, ErrReset) {
		t.Error("ErrLeft and ErrReset must match ErrGone, and not the other way round")
	}
}

// However a stream ends, messages that were never sent count as not handled.
func TestUnknownIsWhatWasSent(t *testing.T) {
	for name, end := range map[string]func(*Sender){
		"gone":      func(s *Sender) { s.Evicted(9) },
		"reset":     func(s *Sender) { s.Reset(first + 1) },
		"closed":    func(s *Sender) { s.Fail(errTest) },
		"no route":  func(s *Sender) { s.NoRoute(first+1, wire.NoRouteBody{Type: wire.Data, Reason: wire.NoSuchNode}) },
		"hop limit": func(s *Sender) { s.NoRoute(first+1, wire.NoRouteBody{Type: wire.Sync, Reason: wire.HopLimit}) },
	} {
		s := open(t, 100)
		push(s, 5, 33)
		acked(t, s, 1020*ms, 1, 1, 60, 0)
		if end(s); s.State() != Ended || s.Pending() != 4 || s.Unknown() != 2 {
			t.Errorf("%s: state %d, %d pending, %d of unknown outcome", name, s.State(), s.Pending(), s.Unknown())
		}
	}
	for name, end := range map[string]func(*Sender){
		"no such node": func(s *Sender) { s.NoSuchNode() },
		"closed":       func(s *Sender) { s.Fail(errTest) },
		"hop limit":    func(s *Sender) { s.NoRoute(3, wire.NoRouteBody{Type: wire.Open, Reason: wire.HopLimit}) },
	} {
		s := opening(t)
		push(s, 5, 33)
		if end(s); s.State() != Ended || s.Pending() != 5 || s.Unknown() != 0 {
			t.Errorf("opening, %s: state %d, %d pending, %d of unknown outcome", name, s.State(), s.Pending(), s.Unknown())
		}
	}
}
