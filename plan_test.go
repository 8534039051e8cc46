package ringdht

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht/internal/ring"
)

// planned demands that all tables are those of the offsets, and the audit what they
// promise.
func (tr *testRing) planned(want ring.Offsets) {
	tr.t.Helper()
	a, n := tr.registry.Audit(), len(tr.nodes)
	if !slices.Equal(a.Offsets, want) || a.Entries != len(want) || !a.OK() || a.Nodes != n || math.Abs(a.MeanHops-want.MeanHops(n)) > 1e-9 ||
		a.MaxHops != len(want.Histogram(n))-1 || a.MinRelayed != a.MaxRelayed {
		tr.t.Fatalf("%v by the offsets %v; want %v, mean %.4f", a, a.Offsets, want, want.MeanHops(n))
	}
	at, all := tr.position(), tr.registry.Members()
	for _, table := range tr.registry.Tables() {
		for i, p := range slices.Collect(table.Entries()) {
			if p != all[(at[table.Self()]+want[i])%n] {
				tr.t.Fatalf("entry %d of %d is %v", i, table.Self(), p)
			}
		}
	}
}

// Messages take the hops that the plan of the fewest promises, from everybody to
// everybody; also when nodes have come and gone.
func TestFewestHops(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	var mu sync.Mutex
	hops := make(map[[2]ID]int)
	join := func() {
		self := make(chan ID, 1)
		n := tr.join(func(_ context.Context, m Message) {
			id := <-self
			self <- id
			mu.Lock()
			hops[[2]ID{m.Source, id}] = m.Hops
			mu.Unlock()
		}, WithTraffic())
		self <- n.ID()
	}
	check := func(offsets ring.Offsets) {
		t.Helper()
		tr.planned(offsets)
		clear(hops)
		tr.exchange(tr.nodes...)
		n := len(tr.nodes)
		at := tr.position()
		for from, i := range at {
			for to, j := range at {
				if got, want := hops[[2]ID{from, to}], offsets.Hops((j-i+n)%n); from != to && got != want {
					t.Fatalf("%v: from %d to %d: %d hops, want %d", offsets, from, to, got, want)
				}
			}
		}
		s := tr.run(Traffic{Messages: 1000})
		if mean := offsets.MeanHops(n); math.Abs(s.MeanHops-mean) > 0.03*mean || s.MaxHops != len(offsets.Histogram(n))-1 {
			t.Errorf("%v: a run with mean %.3f, at most %d hops, want %.3f", offsets, s.MeanHops, s.MaxHops, mean)
		}
	}
	for range 40 {
		join()
	}
	for _, k := range []int{0, 3, 9} {
		offsets := ring.FewestHops(40, k)
		if mean := ring.Classic(40, k).MeanHops(40); offsets.MeanHops(40) >= mean {
			t.Fatalf("%v are no better than the classic mean of %.4f", offsets, mean)
		}
		tr.setup(k, WithPlan(FewestHops))
		check(offsets)
	}
	offsets := ring.FewestHops(40, 9)
	join()
	tr.settled()
	check(offsets) // the ring is hardly another one
	for range 2 {
		died := tr.nodes[7]
		died.Close()
		tr.drop(died)
		tr.gone(died.ID())
	}
	tr.settled()
	check(offsets)
	for len(tr.nodes) < 46 {
		join()
	}
	for _, n := range tr.nodes {
		if err := n.Ready(tr.ctx()); err != nil {
			t.Fatal(err)
		}
	}
	tr.settled()
	check(ring.FewestHops(46, 9)) // an eighth more: others for everybody
	tr.setup(9)
	check(ring.Classic(46, 9)) // a plan given to one set-up is for that one
}

// A registry in the place of one that died learns from the nodes which plan there is;
// the option of its own is for its own set-ups.
func TestPlanOutlivesTheRegistry(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1), WithLease(time.Second), WithPlan(FewestHops))
	for range 12 {
		tr.join(nil)
	}
	tr.setup(3)
	want := ring.FewestHops(12, 3)
	tr.planned(want)
	tr.registry.Close()
	tr.restart(WithLease(time.Second))
	if err := tr.registry.WaitMembers(tr.ctx(), 12); err != nil {
		t.Fatal(err)
	}
	tr.settled()
	tr.planned(want)
	tr.exchange(tr.nodes...)
	tr.setup(3)
	tr.planned(ring.Classic(12, 3))
}

func TestPlanOptions(t *testing.T) {
	if _, err := NewRegistry(WithPlan(9)); err == nil || !strings.Contains(err.Error(), "WithPlan: there is no plan 9") {
		t.Errorf("a registry with plan 9: %v", err)
	}
	r, err := NewRegistry(WithPlan(FewestHops))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Setup(t.Context(), 0, WithPlan(9)); err == nil || !strings.Contains(err.Error(), "WithPlan: there is no plan 9") {
		t.Errorf("a set-up with plan 9: %v", err)
	}
	if text := fmt.Sprint(Classic, ",", FewestHops); text != "classic,fewest hops" {
		t.Error(text)
	}
}

func TestAuditInWords(t *testing.T) {
	tr := newTestRing(t, nil)
	tr.join(nil)
	tr.join(nil)
	if text := tr.setup(0).String(); !strings.HasPrefix(text, "epoch 1: 2 nodes with 1 entry, all 2 routes arrive, ") {
		t.Error(text)
	}
}
