package ringtest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
)

// Lease is the lease of the rings that InBubble starts.
const Lease = 3 * time.Second

// SixIDs are IDs for a ring of six nodes.
var SixIDs = []ringdht.ID{10, 20, 30, 40, 50, 60}

// InBubble runs a test in a bubble of testing/synctest, in virtual time. Its ring is in
// memory. The nodes have these IDs and k entries each, and streams are open between all of
// them.
func InBubble(t *testing.T, k int, ids []ringdht.ID, test func(t *testing.T, tr *Ring, net *memnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := New(t, net, ringdht.WithLease(Lease))
		for _, id := range ids {
			tr.Join(nil, ringdht.WithID(id), ringdht.WithTraffic())
		}
		tr.Setup(k)
		tr.Exchange(tr.Nodes...)
		test(t, tr, net)
		tr.Close()
	})
}

// CheckElapsed fails the test if more than limit has passed since start.
func CheckElapsed(t *testing.T, what string, start time.Time, limit time.Duration) {
	t.Helper()
	if d := time.Since(start); d > limit {
		t.Errorf("%s took %v, more than %v", what, d, limit)
	}
}
