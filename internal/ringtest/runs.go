package ringtest

import (
	"errors"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// StartRun begins a traffic run that cannot end before the test lets it, and returns when
// it is under way.
func (tr *Ring) StartRun(tf ringdht.Traffic) <-chan *status.Summary {
	tr.T.Helper()
	done := make(chan *status.Summary, 1)
	go func() {
		s, err := tr.Registry.RunTraffic(tr.Ctx(), tf)
		if err != nil && !errors.Is(err, ringdht.ErrClosed) {
			tr.T.Error(err)
		}
		done <- s
	}()
	for tr.Registry.Snapshot().Running == nil {
		select {
		case <-done:
			tr.T.Fatal("the run has ended before it was seen")
		case <-time.After(time.Millisecond):
		}
	}
	return done
}

// AddUp checks what the doc of [status.Summary] says of relays.
func AddUp(t testing.TB, s *status.Summary) {
	t.Helper()
	var relayed int64
	for _, n := range s.Nodes {
		relayed += n.Relayed
	}
	if want := s.Hops - s.Sum.Received + s.Wasted; s.Sum.Relayed != want || relayed != want {
		t.Errorf("%d relayed, %d by the nodes, want %d: %d hops, %d received, %d wasted", s.Sum.Relayed, relayed, want, s.Hops, s.Sum.Received, s.Wasted)
	}
}
