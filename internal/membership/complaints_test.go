package membership

import (
	"testing"

	"github.com/x/ringdht/internal/ring"
)

// A report is made once for each table that has the peer in it, and taken back once.
func TestComplaintsHoldForAnEpoch(t *testing.T) {
	var c Complaints
	a, b := ring.Ref{ID: 1, Incarnation: 10}, ring.Ref{ID: 2, Incarnation: 20}
	for i, step := range []struct {
		got, want bool
	}{
		{c.Reached(a), false}, // a peer that was always reached is not reported
		{c.Unreachable(a, 3), true},
		{c.Unreachable(a, 3), false},
		{c.Unreachable(b, 3), true},
		{c.Unreachable(a, 4), true},
		{c.Unreachable(a, 4), false},
		{c.Stands(a), true},
		{c.Reached(a), true},
		{c.Stands(a), false},
		{c.Reached(a), false},
		{c.Unreachable(a, 4), true}, // again, in the same epoch
		{c.Unreachable(b, 5), true}, // a table without it was in between
	} {
		if step.got != step.want {
			t.Errorf("step %d: %v", i, step.got)
		}
	}
	c.Reset()
	if !c.Unreachable(a, 4) {
		t.Error("after Reset the peer is not reported again")
	}
}

// A node remembers a bounded number of reports. When it has forgotten some, it reports
// every peer that it reaches, so that no report stands for ever.
func TestComplaintsAreBounded(t *testing.T) {
	var c Complaints
	for epoch := range uint64(3) {
		for id := range uint64(2 * MaxComplaints) {
			if !c.Unreachable(ring.Ref{ID: id, Incarnation: 1}, epoch) {
				t.Fatalf("peer %d is not reported in epoch %d", id, epoch)
			}
			if len(c.made) > MaxComplaints {
				t.Fatalf("%d reports are remembered", len(c.made))
			}
		}
	}
	if first := (ring.Ref{ID: 0, Incarnation: 1}); c.Stands(first) || !c.Reached(first) {
		t.Error("a report that was forgotten is not taken back")
	}
}
