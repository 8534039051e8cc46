package node_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// rowOf is a node's row of an account, as the node should show it, but for what the account has of
// all nodes together.
func rowOf(s *status.Summary, n *ringtest.Node) status.RunFigures {
	row := s.Nodes[slices.IndexFunc(s.Nodes, func(row status.NodeSummary) bool { return row.ID == n.ID() })]
	return status.RunFigures{
		Sent: row.Sent, Received: row.Received, Relayed: row.Relayed, Unknown: row.Unknown,
		SumSent: row.SumSent, SumReceived: row.SumReceived, SumUnknown: row.SumUnknown,
	}
}

// A node shows its part in the latest run and in all of them, as the registry's accounts have it. So
// does one that only relays.
func TestNodeShowsItsPartInRuns(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for i := range 6 {
		if i < 5 {
			tr.Join(nil, ringdht.WithTraffic())
		} else {
			tr.Join(nil)
		}
	}
	tr.Setup(1)
	for _, n := range tr.Nodes {
		if r := n.Status().Runs; *r != (status.NodeRuns{}) {
			t.Errorf("before any run: %+v", r)
		}
	}
	all := make(map[*ringtest.Node]status.RunFigures)
	for i, messages := range []int{1000, 1 << 30, 300} {
		var s *status.Summary
		if messages == 1<<30 {
			done := tr.StartRun(status.Traffic{Messages: messages})
			n := tr.Nodes[0]
			ringtest.WaitUntil(t, "it sends", func() bool {
				r := n.Status().Runs.Latest
				return r.Number == 2 && r.UnderWay && r.Sending && r.Sent > 0
			})
			if err := tr.Registry.StopTraffic(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
			s = <-done
			tr.CheckNodeRuns(s)
		} else {
			s = tr.Run(status.Traffic{Messages: messages})
		}
		var hops, wasted int64
		maxHops := 0
		for _, n := range tr.Nodes {
			r := n.Status().Runs
			hops, wasted, maxHops = hops+r.Latest.Hops, wasted+r.Latest.Wasted, max(maxHops, r.Latest.MaxHops)
			sum := all[n]
			sum.Add(rowOf(s, n))
			all[n] = sum
			got := r.All
			got.Hops, got.MaxHops, got.Wasted = 0, 0, 0
			if got != sum || r.Count != int64(i+1) || r.Latest.Number != uint64(i+1) {
				t.Errorf("after run %d node %d shows %+v, want %+v in all", i+1, n.ID(), r, sum)
			}
		}
		if hops != s.Hops || wasted != s.Wasted || maxHops != s.MaxHops || maxHops < 2 {
			t.Errorf("%d hops, at most %d, %d wasted; the account has %d, %d, %d", hops, maxHops, wasted, s.Hops, s.MaxHops, s.Wasted)
		}
	}
}

// A run that was never collected, since its registry died, counts in all.
func TestNodeCountsAbandonedRuns(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(1)
	n := tr.Nodes[0]
	for _, other := range tr.Nodes {
		ringtest.NodeOf(other).RunTask(control.Task{Run: 7, Messages: 100, Payload: 4})
	}
	before := n.Status().Runs
	if before.Latest.Number != 7 || !before.Latest.UnderWay || before.Latest.Sending || before.Latest.Sent != 100 || before.Latest.Received == 0 {
		t.Fatalf("%+v", before)
	}
	lost := n.Disconnected() // the registry goes on with the number after the latest that a node comes back with
	ringtest.NodeOf(n).HangUp()
	<-lost
	if err := n.WaitConnected(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	s := tr.Run(status.Traffic{Messages: 10})
	after := n.Status().Runs
	if row := rowOf(s, n); after.Count != 2 || after.All.Sent != 110 || after.All.Received != before.All.Received+row.Received || after.All.SumReceived != before.All.SumReceived+row.SumReceived {
		t.Errorf("%+v, then %+v", before, after)
	}
}

// A snapshot has no part in runs of members: absent, and not zero.
func TestSnapshotHasNoPartInRuns(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 2 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	tr.Run(status.Traffic{Messages: 10})
	of := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	ringtest.NodeOf(tr.Nodes[0]).SendHeartbeat()
	for _, m := range tr.Registry.Snapshot().Members {
		if s := of(m); m.Runs != nil || strings.Contains(s, `"runs"`) {
			t.Error(s)
		}
	}
	if s := of(tr.Nodes[0].Status()); !strings.Contains(s, `"runs":{"latest":{"number":1,"under_way":false,"sending":false,"sent":10,"received":10,"relayed":0,`) {
		t.Error(s)
	}
}
