package stream

import (
	"testing"

	"github.com/x/ringdht/internal/wire"
)

func TestOnlyWhatIsMissingIsSentAgain(t *testing.T) {
	s := open(t, plenty)
	push(s, 10, 100)
	out, _ := acked(t, s, 1012*ms, 0, 2, plenty, 0, wire.Range{From: 1, N: 3})
	want(t, out, "sync 10 round 1") // a hole alone proves nothing: the missing messages may be late
	push(s, 2, 100)
	out, _ = acked(t, s, 1013*ms, 1, 2, plenty, 1, wire.Range{From: 1, N: 3}, wire.Range{From: 6, N: 1})
	want(t, out, "data 2, data 6, data 7, data 9, sync 12 round 2") // 10 and 11 left after the question
	if s.Retransmitted() != 4 {
		t.Error(s.Retransmitted())
	}
	out, _ = acked(t, s, 1014*ms, 1, 2, plenty, 1) // the same answer again
	want(t, out, "")
	out, _ = acked(t, s, 1015*ms, 1, 12, plenty, 2)
	want(t, out, "")
}

func TestNothingIsSentAgainOnATimeout(t *testing.T) {
	s := open(t, plenty)
	push(s, 10, 100)
	for range 5 {
		s.Tick(s.deadline, nil)   // sets the deadline, the first time
		s.Tick(s.deadline-1, nil) // until the next tick, a message might take the question along
		round := s.latest.round
		if out := s.Tick(s.deadline, nil); len(frames(out)) != 1 || s.latest.round != round+1 {
			t.Fatal(show(out))
		}
	}
	if s.Retransmitted() != 0 {
		t.Error(s.Retransmitted())
	}
}

// Messages behind the last range of a full report are not known to be missing.
func TestManyHoles(t *testing.T) {
	s, r := open(t, plenty), receiver()
	push(s, 200, 100)
	sync := frames(s.Ask(1011*ms, nil))[0]
	for n := 1; n < 200; n += 2 {
		arrive(t, r, Held, n)
	}
	for rounds := 0; s.received < first+200; rounds++ {
		if rounds > 200/2/wire.MaxRanges+1 {
			t.Fatal("too many rounds")
		}
		round, _ := wire.ParseRound(sync.Body())
		r.Sync(sync.Seq(), round)
		f := frames(r.AppendAck(nil, plenty))[0]
		out, _, err := s.Ack(1020*ms, f.Seq(), f.Body(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames(out) {
			switch f.Type() {
			case wire.Data:
				if v, _ := r.Data(f, plenty); v == Duplicate {
					t.Fatalf("message %d was not missing", f.Seq()-first)
				}
			case wire.Sync:
				sync = f
			}
		}
	}
	if s.Retransmitted() != 100 {
		t.Error(s.Retransmitted())
	}
}

func TestLossHalvesOnceARound(t *testing.T) {
	s := open(t, plenty)
	push(s, 400, 160) // 64,000 bytes
	s.Ask(1011*ms, nil)
	out, _ := acked(t, s, 1012*ms, 0, 0, plenty, 1) // all of it was lost
	if s.cwnd != 32_000 || len(frames(out)) != 201 {
		t.Fatal(s.cwnd, len(frames(out)))
	}
	// The first half arrives. The second, still missing, is the same loss.
	out, _ = acked(t, s, 1013*ms, 0, 200, plenty, 2)
	if s.cwnd != 32_000 || len(frames(out)) != 201 {
		t.Fatal(s.cwnd, len(frames(out)))
	}
	// A message that was sent again and lost again is a new one.
	out, _ = acked(t, s, 1014*ms, 0, 300, plenty, 3)
	if s.cwnd != 16_000 || len(frames(out)) != 101 {
		t.Fatal(s.cwnd, len(frames(out)))
	}
	for round := uint32(4); round < 10; round++ {
		acked(t, s, 1015*ms, 0, int(300+round), plenty, round)
	}
	if s.cwnd != minCongestion {
		t.Error(s.cwnd)
	}
}

func TestGrowth(t *testing.T) {
	s := open(t, MaxWindow)
	s.cwnd, s.threshold = 8000, 10_000
	push(s, 80, 100)
	acked(t, s, 1012*ms, 20, 80, MaxWindow, 0)
	if s.cwnd != 10_000 { // below the threshold: as much as was acknowledged
		t.Error(s.cwnd)
	}
	acked(t, s, 1013*ms, 40, 80, MaxWindow, 0)
	if want := 10_000 + growth*2000/10_000; s.cwnd != want { // growth for a whole window
		t.Error(s.cwnd, want)
	}
	s.cwnd = maxCongestion
	acked(t, s, 1014*ms, 80, 80, MaxWindow, 0)
	if s.cwnd != maxCongestion {
		t.Error(s.cwnd)
	}
}

func TestSilenceCollapsesOnce(t *testing.T) {
	s := open(t, plenty)
	push(s, 400, 160)
	s.Ask(1011*ms, nil)
	s.Tick(s.deadline, nil)
	if s.cwnd != minCongestion || s.threshold != 32_000 {
		t.Fatal(s.cwnd, s.threshold)
	}
	s.Tick(s.deadline, nil)
	if s.cwnd != minCongestion || s.threshold != 32_000 {
		t.Fatal("a silence that goes on lowered the threshold to", s.threshold)
	}
	acked(t, s, s.deadline-1, 0, 0, plenty, 3)
	if s.cwnd != minCongestion { // loss never raises it
		t.Fatal(s.cwnd)
	}
}

// An answer answers all earlier questions, so asking again is harmless: on a path that takes
// longer than any timeout, or for a source that flushes often.
func TestAnswerToAnEarlierQuestion(t *testing.T) {
	s := open(t, plenty)
	push(s, 3, 100)
	want(t, s.Flush(1011*ms, nil), "sync 3 round 1")
	for s.latest.round < 5 {
		s.Tick(s.deadline, nil)
	}
	now := s.deadline - 1
	out, _ := acked(t, s, now, 0, 0, plenty, 1, wire.Range{From: 1, N: 2})
	want(t, out, "data 0, sync 3 round 6")
	if rtt := now - 1011*ms; s.srtt != 10*ms+(rtt-10*ms)/8 {
		t.Error(s.srtt, rtt)
	}
	// The other questions left before message 0 did, for the second time.
	for round := uint32(2); round < 6; round++ {
		out, _ = acked(t, s, now, 0, 0, plenty, round, wire.Range{From: 1, N: 2})
		want(t, out, "")
	}
	want(t, out, "")
	out, _ = acked(t, s, now, 0, 0, plenty, 6, wire.Range{From: 1, N: 2})
	want(t, out, "data 0, sync 3 round 7")
}

func TestConstantFlushingFindsLoss(t *testing.T) {
	s := open(t, plenty)
	now := Time(1011 * ms)
	const trip = 10 * ms
	var rounds []uint32
	for i := range 100 {
		push(s, 1, 100)
		s.Flush(now, nil)
		rounds = append(rounds, s.latest.round)
		if i > 10 { // the first message never arrives
			acked(t, s, now, 0, 0, plenty, rounds[i-10], wire.Range{From: 1, N: uint32(i - 10)})
		}
		now += trip / 10
		if s.Retransmitted() > 0 {
			return
		}
	}
	t.Fatal("it was never sent again")
}

func TestRoundsWrap(t *testing.T) {
	s, r := open(t, plenty), receiver()
	s.latest.round, s.oldest.round, r.round = 1<<32-2, 1<<32-2, 1<<32-2
	for n := range 4 {
		push(s, 1, 100)
		arrive(t, r, Accepted, n)
		f := frames(s.Flush(1011*ms, nil))[0]
		round, _ := wire.ParseRound(f.Body())
		r.Sync(f.Seq(), round)
		a := frames(r.AppendAck(nil, plenty))[0]
		if s.Ack(1012*ms, a.Seq(), a.Body(), nil); s.unanswered {
			t.Fatalf("round %d got no answer", round)
		}
	}
}

// A question about delivered messages needs no answer. If it stayed open, the next timeout
// would count as a silence.
func TestMootQuestion(t *testing.T) {
	s := open(t, plenty)
	push(s, 2, 100)
	s.Ask(1011*ms, nil)
	acked(t, s, 1012*ms, 2, 2, plenty, 0) // the question got lost, or is late
	push(s, 1, 100)
	want(t, s.Ask(1013*ms, nil), "sync 3 round 2")
}

func TestBoundsOfTheTimeout(t *testing.T) {
	var c timing
	if c.rto() != InitialRTO {
		t.Error(c.rto())
	}
	c.sample(ms)
	if c.rto() != MinRTO {
		t.Error(c.rto())
	}
	c.sample(1_000_000 * ms)
	if c.rto() != MaxRTO {
		t.Error(c.rto())
	}
	c = timing{}
	c.sample(200 * ms)
	if c.rto() != 600*ms {
		t.Error(c.rto())
	}
	c.sample(200 * ms)
	if c.rto() != 500*ms {
		t.Error(c.rto())
	}
}

func TestBackoffDoublesAndStops(t *testing.T) {
	s := open(t, plenty)
	push(s, 1, 100)
	want(t, s.Flush(1011*ms, nil), "sync 1 round 1")
	for i, wait := range []Time{100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000, 2000, 2000} {
		if got := s.deadline - s.latest.at; got != wait*ms {
			t.Fatalf("wait %d is %v, want %v", i, got, wait*ms)
		}
		s.Tick(s.deadline, nil)
	}
	if s.backoff != maxBackoff {
		t.Error(s.backoff)
	}
	push(s, 1, 100)
	acked(t, s, 99_000*ms, 1, 1, plenty, 0)
	if s.backoff != 0 || s.deadline != 99_000*ms+MinRTO {
		t.Error(s.backoff, s.deadline)
	}
}

// A sink without room answers every question and takes nothing. The messages are
// sent a few times at once and then at the rate of the timeouts.
func TestSinkWithoutRoomIsNotFlooded(t *testing.T) {
	s := open(t, plenty)
	push(s, 100, 500)
	s.Ask(1011*ms, nil)
	now, data := Time(1011*ms), 0
	for end := now + 60_000*ms; now < end; now += ms {
		out := s.Tick(now, nil)
		more, _ := acked(t, s, now, 0, 0, plenty, s.latest.round)
		for _, f := range frames(append(out, more...)) {
			if f.Type() == wire.Data {
				data++
			}
		}
	}
	if limit := (maxVainResends+60/2+6)*minCongestion/500 + 200; data > limit || data < 100 {
		t.Fatalf("%d messages were sent again in a minute, the limit is %d", data, limit)
	}
	// One message that fits ends the pause.
	s.Tick(s.deadline, nil)
	acked(t, s, now, 0, 0, plenty, s.latest.round)
	out, _ := acked(t, s, now, 0, 1, plenty, s.latest.round)
	if f := frames(out); len(f) < 2 || f[0].Type() != wire.Data || f[0].Seq() != first+1 {
		if len(f) != 1 || f[0].Type() != wire.Sync {
			t.Fatal(show(out))
		}
		if out, _ = acked(t, s, now, 0, 1, plenty, s.latest.round); frames(out)[0].Type() != wire.Data {
			t.Fatal(show(out))
		}
	}
}

// When the route has changed, a stream that has timed out asks at once; others are left alone.
func TestHurry(t *testing.T) {
	s := open(t, plenty)
	push(s, 1, 100)
	want(t, s.Flush(1011*ms, nil), "sync 1 round 1")
	was := s.deadline
	if s.PathChanged(1020 * ms); s.deadline != was {
		t.Error("a stream that waits for its first answer was hurried")
	}
	for range 6 {
		s.Tick(s.deadline, nil)
	}
	now := s.deadline - 1500*ms
	s.PathChanged(now)
	want(t, s.Tick(now, nil), "sync 1 round 8")
	if s.deadline-now > 2*MinRTO {
		t.Errorf("and waits %v for the answer", s.deadline-now)
	}
}
