package ringtest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// A trace takes the hops that the tables say.
func TestTrace(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 11 {
		tr.Join(nil)
	}
	tr.Setup(3)
	members := tr.Registry.Members()
	at := tr.Positions()
	tables := make(map[ringdht.ID]*ringdht.Table)
	for p, table := range tr.Registry.Tables() {
		tables[p.ID] = table
	}
	check := func(from, to ringdht.ID, hops []status.Hop) {
		t.Helper()
		var want, got []ringdht.ID
		for id := from; id != to; {
			p, ok := tables[id].Next(to)
			if !ok {
				t.Fatal("the tables do not lead there")
			}
			id = p.ID
			want = append(want, id)
		}
		for _, h := range hops {
			got = append(got, h.ID)
			if h.Elapsed <= 0 {
				t.Errorf("hop %d took %v", h.ID, h.Elapsed)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("from %d to %d: %v, the tables say %v", from, to, got, want)
		}
	}
	for _, n := range tr.Nodes {
		to := members[(at[n.ID()]+7)%11].ID
		hops, err := n.Trace(tr.Ctx(), to)
		if err != nil {
			t.Fatal(err)
		}
		check(n.ID(), to, hops)
		if hops, err = tr.Registry.Trace(tr.Ctx(), n.ID(), to); err != nil {
			t.Fatal(err)
		}
		check(n.ID(), to, hops)
	}
	if hops, err := tr.Nodes[0].Trace(tr.Ctx(), tr.Nodes[0].ID()); err != nil || len(hops) != 0 {
		t.Errorf("to itself: %v %v", hops, err)
	}
	if _, err := tr.Registry.Trace(tr.Ctx(), 1<<20, 1); !errors.Is(err, ringdht.ErrNoSuchNode) {
		t.Errorf("from an ID without a node: %v", err)
	}
}
