package ringtest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
)

const Lease = 3 * time.Second

// Timed runs a test on a ring of nodes with these IDs in virtual time.
func Timed(t *testing.T, k int, ids []ringdht.ID, test func(t *testing.T, tr *Ring, net *memnet.Network)) {
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

// Took fails the test if something that began at start took longer than limit.
func Took(t *testing.T, what string, start time.Time, limit time.Duration) {
	t.Helper()
	if d := time.Since(start); d > limit {
		t.Errorf("%s took %v, more than %v", what, d, limit)
	}
}

var Six = []ringdht.ID{10, 20, 30, 40, 50, 60}
