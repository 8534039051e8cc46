package ringtest_test

import (
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Runs that are exact, one right after the other, drop nothing.
func TestExactRunsDropNothing(t *testing.T) {
	for name, net := range map[string]*memnet.Network{"TCP": nil, "memory": memnet.New(1)} {
		t.Run(name, func(t *testing.T) {
			tr := ringtest.New(t, net)
			for range 10 {
				tr.Join(nil, ringdht.WithTraffic())
			}
			tr.Setup(3)
			for range 5 {
				tr.Run(status.Traffic{Messages: 3000})
			}
			for _, n := range tr.Nodes {
				if c := n.Status().Counters; c.Dropped != (status.Dropped{}) {
					t.Errorf("node %d: %+v, %d duplicates, %d sent again", n.ID(), c.Dropped, c.Duplicates, c.Retransmitted)
				}
			}
		})
	}
}
