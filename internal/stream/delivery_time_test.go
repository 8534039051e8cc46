package stream

import (
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// A delivery is timed from the question behind it to the answer that all before the question
// is handled. One question is measured at a time, beginning with the first.
func TestTook(t *testing.T) {
	s := open(t, 100000)
	took := func(want Time) {
		t.Helper()
		if got := s.DeliveryTime(); got != want {
			t.Errorf("it took %v, want %v", got, want)
		}
		if s.DeliveryTime() != 0 {
			t.Error("said twice")
		}
	}
	push(s, 4, 100)
	s.Flush(1100*ms, nil) // behind four
	push(s, 2, 100)
	s.Flush(1110*ms, nil) // behind six, not measured
	acked(t, s, 1120*ms, 3, 6, 100000, 1)
	took(0)
	acked(t, s, 1150*ms, 4, 6, 100000, 1)
	took(50 * ms)
	acked(t, s, 1160*ms, 6, 6, 100000, 2)
	took(0)
	push(s, 1, 100)
	s.Flush(1200*ms, nil)
	acked(t, s, 1230*ms, 7, 7, 100000, 3)
	took(30 * ms)
}

// AckAfter includes the deliveries of the previous stream, which are handled first. It is 0
// when the source waits for none.
func TestUntil(t *testing.T) {
	r := receiver()
	data := func(from uint64, n int) {
		for i := range uint64(n) {
			f := wire.Append(nil, wire.Header{Type: wire.Data, Dst: 2, Src: 1, Seq: from + i}, nil)
			if v, _ := r.Data(f, 1<<20); v != Accepted {
				t.Fatal(v)
			}
		}
	}
	until := func(want int) {
		t.Helper()
		if got := r.AckAfter(); got != want {
			t.Errorf("until %d, want %d", got, want)
		}
	}
	data(first, 3)
	until(0)
	r.Open(r.peerIncarnation, r.gen+1, 5000)
	data(5000, 4)
	r.Sync(5002, 1)
	until(3 + 2)
	r.Sync(5004, 2)
	until(3 + 2)
	if r.Handled(4) {
		t.Error("it tells of less than it was asked about")
	}
	until(1)
	if !r.Handled(1) {
		t.Error("it does not tell")
	}
	until(2)
	r.AppendAck(nil, 0)
	if !r.Handled(2) {
		t.Error("it does not tell of the second question")
	}
	until(0)
}
