package ringdht

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/status"
)

// addUp checks what the doc of [Summary] says of relays.
func addUp(t testing.TB, s *status.Summary) {
	t.Helper()
	var relayed int64
	for _, n := range s.Nodes {
		relayed += n.Relayed
	}
	if want := s.Hops - s.Sum.Received + s.Wasted; s.Sum.Relayed != want || relayed != want {
		t.Errorf("%d relayed, %d by the nodes, want %d: %d hops, %d received, %d wasted", s.Sum.Relayed, relayed, want, s.Hops, s.Sum.Received, s.Wasted)
	}
}

// start begins a run, and returns when the nodes that get their task have been asked.
func (tr *testRing) start(tf Traffic) <-chan *status.Summary {
	tr.t.Helper()
	done := make(chan *status.Summary, 1)
	go func() {
		s, err := tr.registry.RunTraffic(tr.ctx(), tf)
		if err != nil && !errors.Is(err, ErrClosed) {
			tr.t.Error(err)
		}
		done <- s
	}()
	if err := tr.registry.await(tr.ctx(), func() bool { return tr.registry.run != nil }); err != nil {
		tr.t.Fatal(err)
	}
	return done
}

// unfinished waits until all nodes but so many have finished the run at hand.
func (tr *testRing) unfinished(n int) {
	tr.t.Helper()
	if err := tr.registry.await(tr.ctx(), func() bool { return len(tr.registry.run.sending) == n }); err != nil {
		tr.t.Fatal(err)
	}
}

// A node that comes during a run relays for it: it is asked for that, has a row, and the
// next run has nothing of it.
func TestRelaysOfALateComer(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	for _, id := range []ID{10, 20, 30, 40} {
		tr.join(nil, WithID(id), WithTraffic())
	}
	tr.setup(1)
	net.Hold("registry", "n0") // the run waits for 10
	done := tr.start(Traffic{Messages: 1000})
	tr.unfinished(1)
	late := tr.join(nil, WithID(35), WithTraffic())
	gone := tr.join(nil, WithID(45))
	for _, n := range []*Node{late, gone} {
		if err := n.Ready(tr.ctx()); err != nil {
			t.Fatal(err)
		}
	}
	gone.Close()
	tr.drop(gone)
	tr.gone(gone.ID())
	net.Hold("n4", "registry")
	net.Release("registry", "n0")
	if err := tr.registry.await(tr.ctx(), func() bool { // all have answered but the one that came late
		return tr.registry.run.phase == collecting && len(tr.registry.run.wanting) == 1
	}); err != nil {
		t.Fatal(err)
	}
	net.Heal()
	s := <-done
	if !s.Exact() || s.Sum.Sent != 4000 {
		t.Fatalf("%s, %+v", s.Verdict(), s.Sum)
	}
	addUp(t, s)
	var rows []ID
	for _, n := range s.Nodes {
		rows = append(rows, n.ID)
		if n.Late != (n.ID == 35 || n.ID == 45) || n.Lost != (n.ID == 45) || n.Late && n.Sent+n.Received+n.SumSent+n.SumReceived != 0 || n.ID == 35 && n.Relayed == 0 {
			t.Errorf("%+v", n)
		}
	}
	if !slices.Equal(rows, []ID{10, 20, 30, 35, 40, 45}) {
		t.Errorf("rows %v", rows)
	}
	s = tr.run(Traffic{Messages: 10})
	addUp(t, s)
	if len(s.Nodes) != 5 || slices.ContainsFunc(s.Nodes, func(n status.NodeSummary) bool { return n.Late }) {
		t.Errorf("%+v", s.Nodes)
	}
}

// What a run whose registry died has left is in no later one: not in the next, nor in the
// one that uses its port again. The nodes that only relay hear of no task.
func TestRelaysOfAnAbandonedRun(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net, WithLease(time.Second))
	for i := range 6 {
		if i%2 == 0 {
			tr.join(nil, WithID(ID(10*i)), WithTraffic())
		} else {
			tr.join(nil, WithID(ID(10*i)))
		}
	}
	tr.setup(1)
	net.Hold("registry", "n0")
	tr.start(Traffic{Messages: 20000})
	tr.unfinished(1)
	abandoned := tr.registry.run.number
	tr.registry.Close()
	net.Heal()
	tr.restart(WithLease(time.Second), WithGrace(time.Second))
	if err := tr.registry.WaitMembers(tr.ctx(), 6); err != nil {
		t.Fatal(err)
	}
	tr.settled()
	addUp(t, tr.run(Traffic{Messages: 10}))
	tr.registry.mu.Lock()
	tr.registry.runs = abandoned + 127
	tr.registry.mu.Unlock()
	addUp(t, tr.run(Traffic{Messages: 10}))
}

// The members that knew of a run may all be lost together with the registry. The next
// registry must not use its number, under which the others still count what they had of it.
func TestRelaysOfARunThatNobodyKnows(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net, WithLease(time.Second))
	for i := range 4 {
		tr.join(nil, WithID(ID(10*i)), WithTraffic())
	}
	tr.setup(1)
	addUp(t, tr.run(Traffic{Messages: 10}))
	for _, host := range []string{"n1", "n2", "n3"} {
		net.Hold("registry", host)
	}
	tr.start(Traffic{Messages: 5000})
	tr.unfinished(3)
	for _, host := range []string{"n1", "n2", "n3"} { // their task is lost
		net.Cut("registry", host)
	}
	tr.registry.Close()
	knew := tr.nodes[0]
	knew.Close()
	tr.drop(knew)
	net.Heal()
	tr.restart(WithLease(time.Second), WithGrace(time.Second))
	if err := tr.registry.WaitMembers(tr.ctx(), 3); err != nil {
		t.Fatal(err)
	}
	tr.settled()
	addUp(t, tr.run(Traffic{Messages: 10}))
}

// What was received, or lost, of a run that was never collected is in no later one either,
// also if that uses its port.
func TestMessagesOfAnAbandonedRun(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	for range 3 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(1)
	r := tr.registry
	for range 3 {
		r.mu.Lock()
		first := r.runs + 1
		r.runs += 128
		r.mu.Unlock()
		for run := first; run < first+2; run++ { // of registries that are gone
			for _, n := range tr.nodes {
				inc := n.inc.Load()
				inc.traffic.run(control.Task{Run: run, Messages: int64(100 * (first + 1 - run)), Payload: 4}, inc.local.Load())
				if run == first {
					inc.traffic.lose(inc.local.Load().Others[0], trafficPort(run), make([]byte, 4), true)
				}
			}
		}
		if trafficPort(first) != trafficPort(r.runs+1) {
			t.Fatal("the next run has another port")
		}
		addUp(t, tr.run(Traffic{Messages: 10}))
	}
}

// An overloaded ring drops frames and sends them again. That is relayed as well, and
// counted as wasted.
func TestRelaysOfAnOverloadedRing(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	small := WithLimits(Limits{LinkQueue: 150 << 10, ReceiveBuffer: 300 << 10})
	for range 12 {
		tr.join(nil, WithTraffic(), small)
	}
	tr.setup(1)
	wasted := int64(0)
	for range 3 {
		s := tr.run(Traffic{Messages: 2000, Payload: 1000})
		addUp(t, s)
		wasted += s.Wasted
	}
	if wasted == 0 {
		t.Error("nothing was dropped: this test shows nothing")
	}
	t.Log(wasted, "wasted")
}
