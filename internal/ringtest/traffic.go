package ringtest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// Exchange sends a message from each of these nodes to each other. It waits until all are
// delivered.
func (tr *Ring) Exchange(nodes ...*Node) {
	tr.T.Helper()
	var wg sync.WaitGroup
	for _, from := range nodes {
		wg.Go(func() {
			for _, to := range nodes {
				if to == from {
					continue
				}
				if err := from.Send(tr.Ctx(), to.ID(), []byte("x")); err != nil {
					tr.T.Errorf("from %d to %d: %v", from.ID(), to.ID(), err)
				}
			}
			if err := from.Flush(tr.Ctx()); err != nil {
				tr.T.Errorf("from %d: %v", from.ID(), err)
			}
		})
	}
	wg.Wait()
}

// Run does a traffic run. It fails the test unless the account is exact and counts the
// messages of all senders.
func (tr *Ring) Run(tf status.Traffic) *status.Summary {
	tr.T.Helper()
	s, err := tr.Registry.RunTraffic(tr.Ctx(), tf)
	if err != nil {
		tr.T.Fatal(err)
	}
	var want int64
	for _, n := range tr.Nodes {
		if NodeOf(n).Config().Traffic {
			want += int64(tf.Messages)
		}
	}
	if !s.Exact() || s.Sum.Sent != want || s.Sum.Received != want || s.Sum.SumSent != s.Sum.SumReceived {
		tr.T.Fatalf("verdict %s, sum %+v, want %d messages", s.Verdict(), s.Sum, want)
	}
	tr.CheckNodeRuns(s)
	return s
}

// CheckNodeRuns fails the test unless each node shows of the latest run what the account says.
func (tr *Ring) CheckNodeRuns(s *status.Summary) {
	tr.T.Helper()
	for _, n := range tr.Nodes {
		row := slices.IndexFunc(s.Nodes, func(row status.NodeSummary) bool { return row.ID == n.ID() })
		if row < 0 || s.Nodes[row].Lost {
			continue
		}
		want, got := s.Nodes[row], n.Status().Runs.Latest
		if got.UnderWay || got.Sending || got.Sent != want.Sent || got.Received != want.Received || got.Relayed != want.Relayed || got.Unknown != want.Unknown ||
			got.SumSent != want.SumSent || got.SumReceived != want.SumReceived || got.SumUnknown != want.SumUnknown {
			tr.T.Errorf("node %d shows %+v, its account is %+v", n.ID(), got, want)
		}
	}
}

// StartRun begins a traffic run and returns when it is under way. The test must see to it
// that the run does not end before. The channel gets the summary.
func (tr *Ring) StartRun(tf status.Traffic) <-chan *status.Summary {
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

// CheckRelayed fails the test unless the relayed messages of a run add up as the comment of
// [status.Summary] says.
func CheckRelayed(t testing.TB, s *status.Summary) {
	t.Helper()
	var relayed int64
	for _, n := range s.Nodes {
		relayed += n.Relayed
	}
	if want := s.Hops - s.Sum.Received + s.Wasted; s.Sum.Relayed != want || relayed != want {
		t.Errorf("%d relayed, %d by the nodes, want %d: %d hops, %d received, %d wasted", s.Sum.Relayed, relayed, want, s.Hops, s.Sum.Received, s.Wasted)
	}
}
