package ringtest_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// planned fails the test unless all tables are those of the offsets and the audit is what they
// promise.
func planned(tr *ringtest.Ring, want ring.Offsets) {
	tr.T.Helper()
	a, n := tr.Registry.Audit(), len(tr.Nodes)
	if !slices.Equal(a.Offsets, want) || a.Entries != len(want) || !a.OK() || a.Nodes != n || math.Abs(a.MeanHops-want.MeanHops(n)) > 1e-9 ||
		a.MaxHops != len(want.Histogram(n))-1 || a.MinRelayed != a.MaxRelayed {
		tr.T.Fatalf("%v by the offsets %v; want %v, mean %.4f", a, a.Offsets, want, want.MeanHops(n))
	}
	at, all := tr.Positions(), tr.Registry.Members()
	for _, table := range tr.Registry.Tables() {
		for i, p := range slices.Collect(table.Entries()) {
			if p != all[(at[table.Self()]+want[i])%n] {
				tr.T.Fatalf("entry %d of %d is %v", i, table.Self(), p)
			}
		}
	}
}

// Messages between all pairs take the hops that the plan of the fewest promises. This holds as
// well after nodes have joined and gone.
func TestFewestHops(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	var mu sync.Mutex
	hops := make(map[[2]ringdht.ID]int)
	join := func() {
		self := make(chan ringdht.ID, 1)
		n := tr.Join(func(_ context.Context, m ringdht.Message) {
			id := <-self
			self <- id
			mu.Lock()
			hops[[2]ringdht.ID{m.Source, id}] = m.Hops
			mu.Unlock()
		}, ringdht.WithTraffic())
		self <- n.ID()
	}
	check := func(offsets ring.Offsets) {
		t.Helper()
		planned(tr, offsets)
		clear(hops)
		tr.Exchange(tr.Nodes...)
		n := len(tr.Nodes)
		at := tr.Positions()
		for from, i := range at {
			for to, j := range at {
				if got, want := hops[[2]ringdht.ID{from, to}], offsets.Hops((j-i+n)%n); from != to && got != want {
					t.Fatalf("%v: from %d to %d: %d hops, want %d", offsets, from, to, got, want)
				}
			}
		}
		s := tr.Run(status.Traffic{Messages: 1000})
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
		tr.Setup(k, ringdht.FewestHops)
		check(offsets)
	}
	offsets := ring.FewestHops(40, 9)
	join()
	tr.WaitSettled()
	check(offsets) // the size of the ring has hardly changed
	for range 2 {
		died := tr.Nodes[7]
		died.Close()
		tr.Remove(died)
		tr.WaitGone(died.ID())
	}
	tr.WaitSettled()
	check(offsets)
	for len(tr.Nodes) < 46 {
		join()
	}
	for _, n := range tr.Nodes {
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	tr.WaitSettled()
	check(ring.FewestHops(46, 9)) // the ring has grown by an eighth: all get other offsets
	tr.Setup(9)
	check(ring.Classic(46, 9)) // a plan that was given to one set-up holds for that only
}

// A registry that replaces a dead one learns from the nodes which plan there is. A plan is for one
// set-up: the next one is classic again.
func TestPlanOutlivesTheRegistry(t *testing.T) { synctest.Test(t, planOutlivesTheRegistry) }

func planOutlivesTheRegistry(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(time.Second))
	for range 12 {
		tr.Join(nil)
	}
	tr.Setup(3, ringdht.FewestHops)
	want := ring.FewestHops(12, 3)
	planned(tr, want)
	tr.Registry.Close()
	tr.RestartRegistry(ringdht.WithLease(time.Second))
	if err := tr.Registry.WaitMembers(tr.Ctx(), 12); err != nil {
		t.Fatal(err)
	}
	tr.WaitSettled()
	planned(tr, want)
	tr.Exchange(tr.Nodes...)
	tr.Setup(3)
	planned(tr, ring.Classic(12, 3))
	tr.Close()
}

// Of several plans the last one counts, and none is the classic one.
func TestPlanOfSetup(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 12 {
		tr.Join(nil)
	}
	if _, err := tr.Registry.Setup(t.Context(), 0, ringdht.Classic, 9); err == nil || !strings.Contains(err.Error(), "there is no plan 9") {
		t.Errorf("a set-up with plan 9: %v", err)
	}
	tr.Setup(3, ringdht.Classic, ringdht.FewestHops)
	planned(tr, ring.FewestHops(12, 3))
	tr.Setup(3)
	planned(tr, ring.Classic(12, 3))
	if text := fmt.Sprint(ringdht.Classic, ",", ringdht.FewestHops); text != "classic,fewest hops" {
		t.Error(text)
	}
}

func TestAuditInWords(t *testing.T) {
	tr := ringtest.New(t, nil)
	tr.Join(nil)
	tr.Join(nil)
	if text := tr.Setup(0).String(); !strings.HasPrefix(text, "epoch 1: 2 nodes with 1 entry, all 2 routes arrive, ") {
		t.Error(text)
	}
}
