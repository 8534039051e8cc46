package ringdht

import (
	"testing"
	"time"
)

// A sender that leaves during a run is lost to it; that is all that is to be said.
func TestSenderLeavesDuringRun(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	for range 5 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(2)
	done := make(chan *Summary)
	go func() {
		s, err := tr.registry.Run(tr.ctx(), Traffic{Messages: 50000})
		if err != nil {
			t.Error(err)
		}
		done <- s
	}()
	leaver := tr.nodes[2]
	for leaver.Counters().Delivered < 100 {
		time.Sleep(time.Millisecond)
	}
	if err := leaver.Leave(tr.ctx()); err != nil {
		t.Error(err)
	}
	s := <-done
	tr.drop(leaver)
	if !s.Balanced() || len(s.Lost) != 1 {
		t.Errorf("%s", s.Verdict())
	}
}
