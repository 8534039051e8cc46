package ringtest_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// A registry whose ring has smaller IDs takes the place of another. Nodes whose IDs do not fit are
// members of another ring: they join as new nodes, under other IDs, and do not ask for ever.
func TestNextRegistryHasFewerBits(t *testing.T) {
	for _, opts := range [][]ringdht.RegistryOption{nil, {ringdht.WithSelfSetup(0)}} {
		synctest.Test(t, func(t *testing.T) {
			tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
			for _, id := range []ringdht.ID{9, 300, 50_000} {
				tr.Join(nil, ringdht.WithID(id), ringdht.WithTraffic())
			}
			tr.Setup(0)
			before := incarnationsOf(tr.Nodes)
			tr.Registry.Close()
			tr.RestartRegistry(append(opts, ringdht.WithBits(8), ringdht.WithLease(ringtest.Lease))...)
			for k, n := range tr.Nodes[1:] {
				awaitRefused(t, n)
				if n.Incarnation() != before[k+1] {
					t.Error("the node has given up its ring at once")
				}
			}
			if err := tr.Registry.WaitMembers(tr.Ctx(), 3); err != nil {
				t.Fatal(err)
			}
			tr.Setup(0)
			tr.Exchange(tr.Nodes...)
			for k, n := range tr.Nodes {
				if n.ID() > 255 || n.Incarnation() <= before[k] {
					t.Errorf("node %d, incarnation %d, %d before", n.ID(), n.Incarnation(), before[k])
				}
			}
			s := tr.Registry.Snapshot()
			if events := eventsOf(s, status.EventOtherRing); len(events) != 2 || !strings.Contains(events[0].Why, "a 8-bit ring") || len(s.OtherRings) > 0 {
				t.Errorf("%+v, %+v", events, s.OtherRings)
			}
			tr.Close()
		})
	}
}
