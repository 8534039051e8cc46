package stream

import (
	"errors"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

func TestHandshakeRepeats(t *testing.T) {
	s := opening(t)
	for range 5 {
		if out := s.Tick(s.deadline-1, nil); len(out) != 0 {
			t.Fatalf("repeated early: %s", show(out))
		}
		out := frames(s.Tick(s.deadline, nil))
		if len(out) != 1 || out[0].Type() != wire.Open || out[0].Seq() != 3 {
			t.Fatal(out)
		}
	}
	s.Opened(s.deadline, 3, grant(1000), 0, nil)
	if s.State() != Open || s.Waiting() {
		t.Fatal(s.State())
	}
}

func TestHandshakeBackoff(t *testing.T) {
	s := opening(t)
	var gaps []Time
	for now := Time(1000 * ms); len(gaps) < 6; {
		gaps = append(gaps, s.deadline-now)
		now = s.deadline
		s.Tick(now, nil)
	}
	for i, want := range []Time{InitialRTO, 2 * InitialRTO, MaxRTO, MaxRTO, MaxRTO, MaxRTO} {
		if gaps[i] != want {
			t.Fatalf("waits are %v", gaps)
		}
	}
}

func TestKarn(t *testing.T) {
	s := opening(t)
	s.Opened(1010*ms, 3, grant(1000), 0, nil)
	if s.srtt != 10*ms {
		t.Errorf("the first answer took 10ms, srtt is %v", s.srtt)
	}
	s = opening(t)
	s.Tick(s.deadline, nil)
	s.Opened(1501*ms, 3, grant(1000), 0, nil)
	if s.srtt != 0 {
		t.Errorf("it is not known which of two requests was answered, srtt is %v", s.srtt)
	}
	if s.backoff != 0 || s.rto() != InitialRTO {
		t.Errorf("backoff %d, rto %v", s.backoff, s.rto())
	}
}

func TestStaleAnswersToOpen(t *testing.T) {
	for name, opened := range map[string]func(*Sender){
		"generation":         func(s *Sender) { s.Opened(1010*ms, 2, grant(1000), 0, nil) },
		"source incarnation": func(s *Sender) { g := grant(1000); g.SourceIncarnation = 6; s.Opened(1010*ms, 3, g, 0, nil) },
		"would wrap":         func(s *Sender) { g := grant(1000); g.First = 1<<63 + 1; s.Opened(1010*ms, 3, g, 0, nil) },
		"refused gen":        func(s *Sender) { s.Refused(2, wire.RefuseBody{SourceIncarnation: 7, Reason: 1}) },
		"refused incarnation": func(s *Sender) {
			s.Refused(3, wire.RefuseBody{SourceIncarnation: 6, Reason: 1})
		},
		"ack":          func(s *Sender) { acked(t, s, 1010*ms, 0, 0, 1000, 0) },
		"reset":        func(s *Sender) { s.Reset(first) },
		"closed":       func(s *Sender) { s.Closed(first) },
		"no route gen": func(s *Sender) { s.NoRoute(2, wire.NoRouteBody{Type: wire.Open, Reason: wire.NoSuchNode}) },
		"no route":     func(s *Sender) { s.NoRoute(3, wire.NoRouteBody{Type: wire.Data, Reason: wire.NoSuchNode}) },
	} {
		s := opening(t)
		opened(s)
		if s.State() != Opening || s.Stale() != 1 || s.Err() != nil {
			t.Errorf("%s: state %d, stale %d, %v", name, s.State(), s.Stale(), s.Err())
		}
	}
}

func TestRefused(t *testing.T) {
	s := opening(t)
	s.Refused(3, wire.RefuseBody{SourceIncarnation: 7, Reason: wire.RefuseStreams})
	if s.State() != Ended || !errors.Is(s.Err(), ErrRefused) || s.Waiting() {
		t.Fatal(s.State(), s.Err())
	}
	s.Fail(errors.New("later")) // the first reason stays
	if !errors.Is(s.Err(), ErrRefused) {
		t.Fatal(s.Err())
	}
}

func TestStaleAnswersOnOpenStream(t *testing.T) {
	for name, answer := range map[string]func(*Sender){
		"opened otherwise":   func(s *Sender) { g := grant(50); g.First++; s.Opened(1020*ms, 3, g, 0, nil) },
		"refused late":       func(s *Sender) { s.Refused(3, wire.RefuseBody{SourceIncarnation: 7}) },
		"ack before first":   func(s *Sender) { acked(t, s, 1020*ms, -1, 3, 50, 1) },
		"ack impossible":     func(s *Sender) { acked(t, s, 1020*ms, 1, 4, 50, 0) },
		"ack beyond":         func(s *Sender) { acked(t, s, 1020*ms, 5, 5, 50, 1) },
		"received beyond":    func(s *Sender) { acked(t, s, 1020*ms, 2, 5, 50, 1) },
		"ranges beyond":      func(s *Sender) { acked(t, s, 1020*ms, 2, 3, 50, 1, wire.Range{From: 1, N: 1}) },
		"ack of another":     func(s *Sender) { acked(t, s, 1020*ms, 1<<30, 1<<30, 50, 1) },
		"reset before":       func(s *Sender) { s.Reset(first + 1) },
		"reset beyond":       func(s *Sender) { s.Reset(first + 5) },
		"closed unasked":     func(s *Sender) { s.Closed(first + 4) },
		"no route before":    func(s *Sender) { s.NoRoute(first+1, wire.NoRouteBody{Type: wire.Data, Reason: wire.NoSuchNode}) },
		"no route beyond":    func(s *Sender) { s.NoRoute(first+5, wire.NoRouteBody{Type: wire.Data, Reason: wire.NoSuchNode}) },
		"no route for open":  func(s *Sender) { s.NoRoute(3, wire.NoRouteBody{Type: wire.Open, Reason: wire.NoSuchNode}) },
		"no route for trace": func(s *Sender) { s.NoRoute(first+3, wire.NoRouteBody{Type: wire.Trace, Reason: wire.NoSuchNode}) },
	} {
		s := open(t, 1000)
		push(s, 4, 100)
		acked(t, s, 1015*ms, 2, 3, 1000, 0)
		answer(s)
		if s.State() != Open || s.Stale() != 1 || s.Delivered() != first+2 || s.Pending() != 2 || s.window != 1000 {
			t.Errorf("%s: state %d, stale %d, delivered %d, pending %d, window %d", name, s.State(), s.Stale(), s.Delivered()-first, s.Pending(), s.window)
		}
	}
}

// An answer that says nothing new changes nothing, and is not of another stream.
func TestLateAnswersOnOpenStream(t *testing.T) {
	for name, answer := range map[string]func(*Sender){
		"opened again":   func(s *Sender) { s.Opened(1020*ms, 3, grant(50), 0, nil) },
		"ack before":     func(s *Sender) { acked(t, s, 1020*ms, 1, 3, 50, 0) },
		"ack knows less": func(s *Sender) { acked(t, s, 1020*ms, 2, 2, 50, 0) },
		"with ranges":    func(s *Sender) { acked(t, s, 1020*ms, 1, 2, 50, 0, wire.Range{From: 1, N: 1}) },
	} {
		s := open(t, 1000)
		push(s, 4, 100)
		acked(t, s, 1015*ms, 2, 3, 1000, 0)
		answer(s)
		if s.State() != Open || s.Stale() != 0 || s.Delivered() != first+2 || s.Pending() != 2 || s.window != 1000 {
			t.Errorf("%s: state %d, stale %d, delivered %d, pending %d, window %d", name, s.State(), s.Stale(), s.Delivered()-first, s.Pending(), s.window)
		}
	}
}

func TestEndings(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*Sender)
		want error
	}{
		"reset first":   {func(s *Sender) { s.Reset(first) }, ErrReset},
		"reset next":    {func(s *Sender) { s.Reset(first + 4) }, ErrReset},
		"no such node":  {func(s *Sender) { s.NoRoute(first+3, wire.NoRouteBody{Type: wire.Data, Reason: wire.NoSuchNode}) }, ErrGone},
		"hop limit":     {func(s *Sender) { s.NoRoute(first+4, wire.NoRouteBody{Type: wire.Sync, Reason: wire.HopLimit}) }, ErrHopLimit},
		"for a message": {func(s *Sender) { s.Fail(errTest) }, errTest},
	} {
		s := open(t, 300)
		push(s, 4, 100) // one in the backlog
		s.Flush(1011*ms, nil)
		if name == "reset next" || name == "hop limit" {
			s = open(t, 1000)
			push(s, 4, 100)
		}
		c.end(s)
		if s.State() != Ended || !errors.Is(s.Err(), c.want) || s.Pending() != 4 || s.Bytes() != 0 || s.Waiting() {
			t.Errorf("%s: state %d, %v, pending %d, %d bytes", name, s.State(), s.Err(), s.Pending(), s.Bytes())
		}
		if out := s.Tick(9000*ms, nil); len(out) != 0 || s.Room(0) {
			t.Errorf("%s: it goes on after its end: %s", name, show(out))
		}
	}
}

var errTest = errors.New("test")

// A late question of a finished stream may meet a sink that forgot it. Nothing is lost.
func TestResetWithNothingPending(t *testing.T) {
	s := open(t, 1000)
	push(s, 1, 100)
	acked(t, s, 1020*ms, 1, 1, 1000, 0)
	s.Close(1021*ms, nil)
	s.Reset(first + 1)
	if s.State() != Ended || s.Err() != nil {
		t.Fatal(s.State(), s.Err())
	}
}

func TestClose(t *testing.T) {
	s := open(t, 1000)
	push(s, 1, 100)
	if out := s.Close(1011*ms, nil); len(out) != 0 || s.State() != Open {
		t.Fatalf("closed with a message pending: %s", show(out))
	}
	acked(t, s, 1020*ms, 1, 1, 1000, 0)
	want(t, s.Close(1021*ms, nil), "close 1")
	want(t, s.Close(1022*ms, nil), "")
	for range 3 {
		want(t, s.Tick(s.deadline-1, nil), "")
		want(t, s.Tick(s.deadline, nil), "close 1")
	}
	acked(t, s, 3000*ms, 1, 1, 1000, 0) // the handler is not done with earlier messages yet
	if s.deadline = 0; !s.Waiting() {
		t.Fatal("nothing repeats the request")
	}
	s.Closed(first) // of another stream
	if s.State() != Closing || s.Room(0) {
		t.Fatal(s.State())
	}
	stale := s.Stale()
	s.Closed(first + 1)
	s.Closed(first + 1) // the request was repeated, and so is the answer
	if s.State() != Ended || s.Err() != nil || s.Stale() != stale {
		t.Fatal(s.State(), s.Err(), s.Stale())
	}
	if s.Closed(first); s.Stale() != stale+1 {
		t.Error("an answer that is of another stream does not count")
	}
}

func TestIdleStreamWaitsForNothing(t *testing.T) {
	s := open(t, 1000)
	if s.Waiting() {
		t.Error("a stream that has just opened waits")
	}
	push(s, 1, 100)
	if !s.Waiting() {
		t.Error("an outstanding message does not matter")
	}
	acked(t, s, 1020*ms, 1, 1, 1000, 0)
	if s.Waiting() {
		t.Error("it waits with nothing outstanding")
	}
	want(t, s.Tick(99_000*ms, nil), "")
	want(t, s.Ask(99_000*ms, nil), "")
	want(t, s.Flush(99_000*ms, nil), "")
}

func TestWindow(t *testing.T) {
	s := open(t, 300)
	if n := push(s, 5, 100); n != 3 || s.Backlog() != 200 || s.Bytes() != 500 || s.Room(0) {
		t.Fatal(n, s.Backlog(), s.Bytes())
	}
	out, progress := acked(t, s, 1020*ms, 1, 1, 300, 0)
	if !progress {
		t.Error("no progress")
	}
	want(t, out, "data 3, sync 4 round 1") // the rest still has no room
	out, progress = acked(t, s, 1021*ms, 1, 1, 200, 0)
	if want(t, out, ""); progress {
		t.Error("a window that shrinks is no progress")
	}
	out, _ = acked(t, s, 1022*ms, 2, 4, 200, 1)
	want(t, out, "")
	out, progress = acked(t, s, 1023*ms, 2, 4, 300, 1)
	if want(t, out, "data 4"); !progress {
		t.Error("a window that grows is progress")
	}
}

// With nothing outstanding one message may go, however small the window.
func TestWindowSmallerThanAMessage(t *testing.T) {
	s := open(t, 0)
	if n := push(s, 3, 5000); n != 1 {
		t.Fatal(n)
	}
	want(t, s.Ask(1011*ms, nil), "sync 1 round 1")
	out, _ := acked(t, s, 1020*ms, 1, 1, 10, 1)
	want(t, out, "data 1, sync 2 round 2")
	out, _ = acked(t, s, 1030*ms, 2, 2, 0, 2)
	want(t, out, "data 2")
}

func TestGrantsAreBounded(t *testing.T) {
	s := open(t, 1<<30)
	if s.window != MaxWindow {
		t.Error(s.window)
	}
	if acked(t, s, 1020*ms, 0, 0, 1<<30, 0); s.window != MaxWindow {
		t.Error(s.window)
	}
}

func TestFlushAsksOnce(t *testing.T) {
	s := open(t, 300)
	push(s, 4, 100)
	want(t, s.Flush(1011*ms, nil), "") // not all of it was sent
	out, _ := acked(t, s, 1020*ms, 2, 2, 300, 0)
	want(t, out, "data 3, sync 4 round 1")
	want(t, s.Flush(1021*ms, nil), "")
	out, _ = acked(t, s, 1022*ms, 2, 4, 300, 1) // received, not handled
	want(t, out, "")
	want(t, s.Flush(1023*ms, nil), "")
	want(t, s.Ask(1023*ms, nil), "")
	out, _ = acked(t, s, 1024*ms, 4, 4, 300, 1)
	want(t, out, "")
	push(s, 1, 100)
	want(t, s.Flush(1025*ms, nil), "sync 5 round 2")
}

// A flush does not wait for the answer to an earlier question.
func TestFlushBehindAQuestion(t *testing.T) {
	s := open(t, 1000)
	push(s, 1, 100)
	want(t, s.Ask(1011*ms, nil), "sync 1 round 1")
	push(s, 1, 100)
	want(t, s.Ask(1012*ms, nil), "") // the answer brings the next question
	push(s, 1, 100)
	out, _ := acked(t, s, 1015*ms, 0, 1, 1000, 1)
	want(t, out, "sync 3 round 2")
	push(s, 1, 100)
	want(t, s.Flush(1016*ms, nil), "sync 4 round 3")
}

// A slow handler costs a question now and then, not one for each round trip.
func TestSlowHandlerIsNotPestered(t *testing.T) {
	s := open(t, 300)
	push(s, 5, 100)
	want(t, s.Ask(1011*ms, nil), "sync 3 round 1")
	now, asked := Time(1012*ms), 0
	for end := now + 60_000*ms; now < end; now += 25 * ms {
		out, progress := acked(t, s, now, 0, 3, 300, s.latest.round)
		if progress {
			t.Fatal("there was none")
		}
		want(t, out, "")
		want(t, s.Ask(now, nil), "")
		if out := s.Tick(now, nil); len(out) > 0 {
			asked++
		}
	}
	if asked < 25 || asked > 40 {
		t.Fatalf("asked %d times in a minute", asked)
	}
	if s.cwnd < startCongestion || s.Retransmitted() != 0 {
		t.Fatal(s.cwnd, s.Retransmitted())
	}
}

func TestLostFinalAck(t *testing.T) {
	s := open(t, 1000)
	push(s, 1, 100)
	want(t, s.Flush(1011*ms, nil), "sync 1 round 1")
	acked(t, s, 1020*ms, 0, 1, 1000, 1) // the second answer gets lost
	want(t, s.Tick(1020*ms+MinRTO-1, nil), "")
	want(t, s.Tick(1020*ms+MinRTO, nil), "sync 1 round 2")
	acked(t, s, 1130*ms, 1, 1, 1000, 2)
	if s.Pending() != 0 || s.cwnd < startCongestion {
		t.Fatal(s.Pending(), s.cwnd)
	}
}

func TestMalformedAck(t *testing.T) {
	s := open(t, 1000)
	push(s, 2, 100)
	if _, _, err := s.Ack(1020*ms, first+1, make([]byte, 13), nil); err == nil || s.Delivered() != first {
		t.Fatal(err, s.Delivered())
	}
}

// A source asks when it has sent half a window since the last question, once. No question is
// due while one is unanswered or nothing is sent.
func TestDue(t *testing.T) {
	s := opening(t)
	s.Opened(1010*ms, 3, grant(1000), 0, nil)
	s.window, s.cwnd = 1000, 1<<20
	sent := 0
	for !s.Due() {
		sent += s.Admit(0, make([]byte, 68))
	}
	if sent != 600 {
		t.Fatal("due after", sent, "bytes of a window of 1000")
	}
	if out := frames(s.Ask(1011*ms, nil)); len(out) != 1 || out[0].Type() != wire.Sync {
		t.Fatal(out)
	}
	s.Admit(0, make([]byte, 600))
	if s.Due() {
		t.Error("due again, with the question unanswered")
	}
	if _, _, err := s.Ack(1012*ms, s.una, wire.AckBody{Window: 1000, Round: s.latest.round, Received: 6}.Append(nil, nil), nil); err != nil {
		t.Fatal(err)
	}
	if !s.Due() {
		t.Error("not due, though it is answered")
	}
	s.Ask(1013*ms, nil)
	s.Ack(1014*ms, s.una, wire.AckBody{Window: 1000, Round: s.latest.round, Received: 7}.Append(nil, nil), nil)
	if s.Due() {
		t.Error("due again for nothing")
	}
}
