package stream

import "testing"

// A question that a timeout would bring soon leaves with the next message, if there is one.
func TestQuestionBeforeTheClock(t *testing.T) {
	for _, silent := range []bool{false, true} {
		s := open(t, 10000)
		push(s, 1, 100)
		now := Time(1020 * ms) // the deadline follows from the first tick
		for end := now + s.rto() - TickInterval; now < end; now += TickInterval {
			want(t, s.Tick(now, nil), "")
			if s.Due() {
				t.Fatalf("due %v after the first tick", now-1020*ms)
			}
		}
		want(t, s.Tick(now, nil), "")
		if !s.Due() {
			t.Fatal("not due right before the clock asks")
		}
		if silent {
			want(t, s.Tick(now+TickInterval, nil), "sync 1 round 1")
		} else {
			want(t, s.AskAhead(now+1, nil), "sync 1 round 1")
			push(s, 1, 100)
		}
		if s.Due() {
			t.Error("due with a question under way")
		}
	}
}

// Only a timeout, and not the next message, repeats a question whose answer left messages open.
func TestRepeatIsNotAhead(t *testing.T) {
	s := open(t, 10000)
	push(s, 1, 100)
	want(t, s.Flush(1011*ms, nil), "sync 1 round 1")
	acked(t, s, 1020*ms, 0, 1, 10000, 1) // received; the handler takes its time
	for now := Time(1020 * ms); now < 1020*ms+s.rto(); now += TickInterval / 5 {
		want(t, s.Tick(now, nil), "")
		if s.Due() {
			t.Fatalf("due again %v after the answer", now-1020*ms)
		}
	}
	push(s, 1, 100)
	want(t, s.Tick(1020*ms+s.rto()-TickInterval/5, nil), "")
	want(t, s.Tick(1020*ms+s.rto(), nil), "sync 2 round 2")
}

// After a question just before a message the timeout comes a little earlier.
func TestDeadlineBehindAQuestionAhead(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		s := open(t, 10000)
		push(s, 1, 100)
		ask, early := s.Ask, Time(1)
		if ahead {
			ask, early = s.AskAhead, TickInterval/2
		}
		want(t, ask(1020*ms, nil), "sync 1 round 1")
		push(s, 1, 100)
		acked(t, s, 1030*ms, 1, 1, 10000, 1)
		deadline := 1030*ms + s.rto()
		want(t, s.Tick(deadline-early-1, nil), "")
		want(t, s.Tick(deadline-early+1, nil), "sync 2 round 2")
	}
}
