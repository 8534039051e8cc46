package node

import (
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/status"
)

// begin makes a run the latest one if it is later. What is known of the one before joins the past,
// also if it was never collected because its registry died. It needs mu.
func (t *traffic) begin(run uint64) {
	if run <= t.latestRun {
		return
	}
	if t.latestRun > 0 {
		t.past.Add(figures(t.latestSummary()))
		t.pastRuns++
	}
	t.latestRun = run
}

// latestSummary is the summary of the latest run: as it was collected, or so far. It needs mu.
func (t *traffic) latestSummary() control.Summary {
	if t.collectedLedger != nil && t.collected.Run == t.latestRun {
		return t.collected
	}
	l, port := t.ledger.Load(), trafficPort(t.latestRun)
	s := l.summary(port)
	l.addSent(&s, port)
	s.Relayed, s.Wasted = t.inc.plane.Relays(port)
	return s
}

// status is the node's part in runs, as its status has it.
func (t *traffic) status() *status.NodeRuns {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &status.NodeRuns{All: t.past, Count: t.pastRuns}
	if t.latestRun == 0 {
		return r
	}
	r.Latest = status.NodeRun{
		Number: t.latestRun, UnderWay: t.collectedLedger == nil || t.collected.Run != t.latestRun, Sending: t.running,
		RunFigures: figures(t.latestSummary()),
	}
	r.All.Add(r.Latest.RunFigures)
	r.Count++
	return r
}

func figures(s control.Summary) status.RunFigures {
	return status.RunFigures{
		Sent: s.Sent, Received: s.Received, Relayed: s.Relayed, Unknown: s.Unknown,
		SumSent: s.SumSent, SumReceived: s.SumReceived, SumUnknown: s.SumUnknown,
		Hops: s.Hops, MaxHops: control.Int(s.MaxHops), Wasted: s.Wasted,
	}
}
