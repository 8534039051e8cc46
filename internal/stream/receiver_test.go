package stream

import (
	"testing"

	"github.com/x/ringdht/internal/wire"
)

func TestInOrderOnce(t *testing.T) {
	r := receiver()
	arrive(t, r, Accepted, 0, 1)
	arrive(t, r, Duplicate, 0, 1)
	arrive(t, r, Held, 4, 3)
	arrive(t, r, Duplicate, 4)
	wantTaken(t, r, 0, 1)
	arrive(t, r, Accepted, 2)
	arrive(t, r, Duplicate, 3, 4)
	wantTaken(t, r, 2, 3, 4)
	if r.Bytes() != 0 || r.Pending() {
		t.Fatal(r.Bytes())
	}
}

func TestNumbersOfAnotherIncarnation(t *testing.T) {
	r := receiver()
	arrive(t, r, Accepted, 0)
	arrive(t, r, Stale, -1, -first, 1+maxAhead, 1<<30)
	arrive(t, r, Held, maxAhead)
	for _, n := range []int{-1, 2 + maxAhead} {
		if v := r.Sync(first+uint64(n), 1); v != Stale {
			t.Errorf("sync %d: verdict %d", n, v)
		}
	}
	if v := r.Sync(first+1+maxAhead, 1); v != Accepted || r.asked != first+1+maxAhead {
		t.Errorf("verdict %d, asked %d", v, r.asked)
	}
}

func TestOpenAgain(t *testing.T) {
	for _, c := range []struct {
		inc, gen uint64
		ok       bool
		first    uint64
	}{
		{7, 3, true, first}, // a repeat
		{7, 2, false, first},
		{6, 9, false, first},
		{7, 4, true, 5000},
		{8, 1, true, 5000},
	} {
		r := receiver()
		arrive(t, r, Accepted, 0)
		if ok := r.Open(c.inc, c.gen, 5000); ok != c.ok || r.first != c.first {
			t.Errorf("open by incarnation %d generation %d: %v, first %d", c.inc, c.gen, ok, r.first)
		}
		f := frames(r.AppendOpened(nil, 77))[0]
		b, err := wire.ParseOpened(f.Body())
		if err != nil || f.Seq() != r.gen || b != (wire.OpenedBody{SourceIncarnation: r.peerIncarnation, SinkIncarnation: 9, First: r.first, Window: 77}) {
			t.Errorf("%v, %+v", err, b)
		}
		if r.Window() != 77 {
			t.Error(r.Window())
		}
	}
}

func TestHoleIsReportedOnce(t *testing.T) {
	r := receiver()
	for i, want := range []struct {
		n    int
		hole bool
	}{{0, false}, {2, true}, {4, false}, {3, false}, {1, false}, {6, true}, {7, false}} {
		if _, hole := r.Data(dataFrame(want.n, 100), plenty); hole != want.hole {
			t.Errorf("step %d: hole %v", i, hole)
		}
	}
}

func TestHeldRanges(t *testing.T) {
	r := receiver()
	want(t, r.AppendAck(nil, 50), "ack 0 received 0 window 50 round 0")
	arrive(t, r, Held, 1, 2, 4, 9, 3)
	r.Sync(first+10, 5)
	want(t, r.AppendAck(nil, 50), "ack 0 received 0 window 50 round 5 1+4 9+1")
	arrive(t, r, Accepted, 0)
	want(t, r.AppendAck(nil, 50), "ack 0 received 5 window 50 round 5 4+1")
	for n := 11; len(r.held) < 2*wire.MaxRanges; n += 2 {
		arrive(t, r, Held, n)
	}
	f := frames(r.AppendAck(nil, 50))[0]
	if _, ranges, err := wire.ParseAck(f.Body(), nil); err != nil || len(ranges) != wire.MaxRanges {
		t.Fatal(err, len(ranges))
	}
}

func TestSecondAnswer(t *testing.T) {
	r := receiver()
	arrive(t, r, Accepted, 0, 1, 2, 3)
	r.Take()
	if r.Handled(1) {
		t.Error("not asked")
	}
	r.Sync(first+3, 1)
	want(t, r.AppendAck(nil, 50), "ack 1 received 3 window 50 round 1")
	if r.Handled(1) {
		t.Error("not all that was asked for is handled")
	}
	if !r.Handled(1) {
		t.Error("the source waits")
	}
	want(t, r.AppendAck(nil, 50), "ack 3 received 1 window 50 round 1")
	if r.Handled(1) {
		t.Error("the source was told")
	}
	r.Sync(first+2, 0) // late
	want(t, r.AppendAck(nil, 50), "ack 4 received 0 window 50 round 1")
}

func TestFormerStream(t *testing.T) {
	r := receiver()
	arrive(t, r, Accepted, 0, 1, 2)
	arrive(t, r, Held, 6)
	q := r.Take() // at the handler
	r.Handled(1)
	arrive(t, r, Accepted, 3, 4)
	r.Open(8, 1, 5000)
	if r.Bytes() != 200 { // in the inbox; what was ahead of the hole is gone
		t.Fatal(r.Bytes())
	}
	arrive(t, r, Stale, 5, 6)
	arrive(t, r, Accepted, 4000, 4001)
	r.Sync(5002, 1)
	want(t, r.AppendAck(nil, 50), "ack 4000 received 2 window 50 round 1")
	r.Handled(1)
	want(t, r.AppendAck(nil, 50), "ack 4000 received 2 window 50 round 1")
	q.Clear()
	wantTaken(t, r, 3, 4, 4000, 4001)
	if r.Close(5002) {
		t.Error("closed with deliveries of two streams at the handler")
	}
	if r.Handled(4) { // three of the former, one of this
		t.Error("told too early")
	}
	want(t, r.AppendAck(nil, 50), "ack 4001 received 1 window 50 round 1")
	if !r.Handled(1) {
		t.Error("not told")
	}
	if !r.Close(5002) {
		t.Error("complete, and not closed")
	}
}

// Restarted twice while deliveries of the first incarnation wait.
func TestFormerStreams(t *testing.T) {
	r := receiver()
	arrive(t, r, Accepted, 0, 1)
	r.Open(8, 1, 5000)
	arrive(t, r, Accepted, 4000)
	r.Open(9, 1, 9000)
	arrive(t, r, Accepted, 8000)
	wantTaken(t, r, 0, 1, 4000, 8000)
	r.Handled(3)
	want(t, r.AppendAck(nil, 50), "ack 8000 received 1 window 50 round 0")
	r.Handled(1)
	want(t, r.AppendAck(nil, 50), "ack 8001 received 0 window 50 round 0")
}

func TestCloseOnlyWhenComplete(t *testing.T) {
	r := receiver()
	if !r.Close(first) {
		t.Error("an unused stream cannot be closed")
	}
	arrive(t, r, Accepted, 0)
	if r.Close(first) || r.Close(first+1) {
		t.Error("closed before the handler was done")
	}
	r.Take()
	r.Handled(1)
	if r.Close(first) || r.Close(first+2) {
		t.Error("closed at another number")
	}
	arrive(t, r, Held, 2)
	if r.Close(first + 1) {
		t.Error("closed with a message ahead of a hole")
	}
	arrive(t, r, Accepted, 1)
	r.Take()
	r.Handled(2)
	if !r.Close(first + 3) {
		t.Error("complete, and not closed")
	}
}

func TestFull(t *testing.T) {
	r := receiver()
	step := func(n, size, room int, want Verdict, bytes int) {
		t.Helper()
		if v, _ := r.Data(dataFrame(n, size), room); v != want || r.Bytes() != bytes {
			t.Fatalf("message %d of %d bytes in %d: verdict %d with %d bytes, want %d with %d", n, size, room, v, r.Bytes(), want, bytes)
		}
	}
	step(0, 100, 99, Full, 0)
	step(0, 100, 100, Accepted, 100)
	step(2, 100, 199, Full, 100) // half is for the message that fills the hole
	step(2, 100, 200, Held, 200)
	step(3, 100, 300, Held, 300)
	step(1, 500, 250, Full, 100) // held messages are dropped for it, and that is not enough
	step(2, 100, plenty, Full, 100)
	step(1, 500, 450, Full, 100)
	step(1, 500, 500, Accepted, 600)
	step(3, 100, 200, Held, 700)
	step(2, 500, 450, Accepted, 1100) // now it is
	step(3, 100, 100, Accepted, 1200)
	wantTaken(t, r, 0, 1, 2, 3)
}

func TestTrim(t *testing.T) {
	r := receiver()
	arrive(t, r, Accepted, 0)
	arrive(t, r, Held, 2)
	r.Trim()
	if r.Bytes() != 200 {
		t.Error("a hole that may be new")
	}
	arrive(t, r, Accepted, 1)
	arrive(t, r, Held, 4)
	r.Trim()
	if r.Bytes() != 400 {
		t.Error("a new hole")
	}
	r.Trim()
	if r.Bytes() != 300 {
		t.Error("an old hole", r.Bytes())
	}
}
