package registry_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// unfinished waits until all nodes but n have finished the present run.
func unfinished(tr *ringtest.Ring, n int) {
	tr.T.Helper()
	if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(tr.Registry).Unfinished() == n }); err != nil {
		tr.T.Fatal(err)
	}
}

// A node that joins during a run relays for it. The registry asks it for its share, and the
// account has a row for it. The next run counts nothing of that.
func TestRelaysOfALateComer(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for _, id := range []ringdht.ID{10, 20, 30, 40} {
		tr.Join(nil, ringdht.WithID(id), ringdht.WithTraffic())
	}
	tr.Setup(1)
	net.Hold("registry", "n0") // the run waits for 10
	done := tr.StartRun(status.Traffic{Messages: 1000})
	unfinished(tr, 1)
	late := tr.Join(nil, ringdht.WithID(35), ringdht.WithTraffic())
	gone := tr.Join(nil, ringdht.WithID(45))
	for _, n := range []*ringtest.Node{late, gone} {
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	gone.Close()
	tr.Remove(gone)
	tr.WaitGone(gone.ID())
	net.Hold("n4", "registry")
	net.Release("registry", "n0")
	if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { // all have answered but the latecomer
		return ringtest.RegistryOf(tr.Registry).Unreported() == 1
	}); err != nil {
		t.Fatal(err)
	}
	net.Heal()
	s := <-done
	if !s.Exact() || s.Sum.Sent != 4000 {
		t.Fatalf("%s, %+v", s.Verdict(), s.Sum)
	}
	ringtest.CheckRelayed(t, s)
	var rows []ringdht.ID
	for _, n := range s.Nodes {
		rows = append(rows, n.ID)
		if n.Late != (n.ID == 35 || n.ID == 45) || n.Lost != (n.ID == 45) || n.Late && n.Sent+n.Received+n.SumSent+n.SumReceived != 0 || n.ID == 35 && n.Relayed == 0 {
			t.Errorf("%+v", n)
		}
	}
	if !slices.Equal(rows, []ringdht.ID{10, 20, 30, 35, 40, 45}) {
		t.Errorf("rows %v", rows)
	}
	s = tr.Run(status.Traffic{Messages: 10})
	ringtest.CheckRelayed(t, s)
	if len(s.Nodes) != 5 || slices.ContainsFunc(s.Nodes, func(n status.NodeSummary) bool { return n.Late }) {
		t.Errorf("%+v", s.Nodes)
	}
}

// The rest of a run whose registry died counts in no later run: neither in the next nor in the
// one that uses its port again. Nodes that only relay are told of no task.
func TestRelaysOfAnAbandonedRun(t *testing.T) { synctest.Test(t, relaysOfAnAbandonedRun) }

func relaysOfAnAbandonedRun(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net, ringdht.WithLease(time.Second))
	for i := range 6 {
		if i%2 == 0 {
			tr.Join(nil, ringdht.WithID(ringdht.ID(10*i)), ringdht.WithTraffic())
		} else {
			tr.Join(nil, ringdht.WithID(ringdht.ID(10*i)))
		}
	}
	tr.Setup(1)
	net.Hold("registry", "n0")
	tr.StartRun(status.Traffic{Messages: 20000})
	unfinished(tr, 1)
	abandoned := tr.Registry.Snapshot().Running.Number
	tr.Registry.Close()
	net.Heal()
	tr.RestartRegistry(ringdht.WithLease(time.Second), ringdht.WithGrace(time.Second))
	if err := tr.Registry.WaitMembers(tr.Ctx(), 6); err != nil {
		t.Fatal(err)
	}
	tr.WaitSettled()
	ringtest.CheckRelayed(t, tr.Run(status.Traffic{Messages: 10}))
	ringtest.RegistryOf(tr.Registry).SkipRuns(abandoned + 127)
	ringtest.CheckRelayed(t, tr.Run(status.Traffic{Messages: 10}))
}

// All members that knew of a run may be lost together with the registry. The next registry must
// not use the number of that run, under which the others still count.
func TestRelaysOfARunThatNobodyKnows(t *testing.T) { synctest.Test(t, relaysOfARunThatNobodyKnows) }

func relaysOfARunThatNobodyKnows(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net, ringdht.WithLease(time.Second))
	for i := range 4 {
		tr.Join(nil, ringdht.WithID(ringdht.ID(10*i)), ringdht.WithTraffic())
	}
	tr.Setup(1)
	ringtest.CheckRelayed(t, tr.Run(status.Traffic{Messages: 10}))
	for _, host := range []string{"n1", "n2", "n3"} {
		net.Hold("registry", host)
	}
	tr.StartRun(status.Traffic{Messages: 5000})
	unfinished(tr, 3)
	for _, host := range []string{"n1", "n2", "n3"} { // their task is lost
		net.Cut("registry", host)
	}
	tr.Registry.Close()
	knew := tr.Nodes[0]
	knew.Close()
	tr.Remove(knew)
	net.Heal()
	tr.RestartRegistry(ringdht.WithLease(time.Second), ringdht.WithGrace(time.Second))
	if err := tr.Registry.WaitMembers(tr.Ctx(), 3); err != nil {
		t.Fatal(err)
	}
	tr.WaitSettled()
	ringtest.CheckRelayed(t, tr.Run(status.Traffic{Messages: 10}))
}

// An overloaded ring drops frames and sends them again. Copies count as relayed, and as wasted. The
// first run is overloaded for sure: the link that all pass at one relay stands still until it has dropped
// some.
func TestRelaysOfAnOverloadedRing(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	small := ringdht.WithLimits(status.Limits{LinkQueue: 150 << 10, ReceiveBuffer: 300 << 10})
	for range 12 {
		tr.Join(nil, ringdht.WithTraffic(), small)
	}
	tr.Setup(1)
	traffic := status.Traffic{Messages: 2000, Payload: 1000}
	tr.Run(status.Traffic{Messages: 200}) // opens the streams
	for i := range tr.Nodes {
		net.Hold("n0", fmt.Sprint("n", i))
	}
	done := tr.StartRun(traffic)
	ringtest.WaitUntil(t, "the relay to drop", func() bool { return tr.Nodes[0].Status().Counters.Dropped.QueueFull > 0 })
	net.Heal()
	s := <-done
	if !s.Exact() || s.Sum.Received != 12*2000 || s.Wasted == 0 {
		t.Fatalf("%s, %+v, %d wasted", s.Verdict(), s.Sum, s.Wasted)
	}
	t.Log(s.Wasted, "wasted")
	ringtest.CheckRelayed(t, s)
	for range 2 {
		ringtest.CheckRelayed(t, tr.Run(traffic))
	}
}
