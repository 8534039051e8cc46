package ringtest_test

import (
	"testing"
	"testing/synctest"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// A registry that closes ends all connections, and declares no member dead for that. A member
// that is about to leave is let go by the next registry.
func TestRegistryClosesWhileANodeLeaves(t *testing.T) {
	synctest.Test(t, closesWhileANodeLeaves)
}

func closesWhileANodeLeaves(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
	for range 4 {
		tr.Join(nil)
	}
	tr.Setup(0)
	leaver, r := tr.Nodes[0], tr.Registry
	net.Hold("n2", "registry") // it does not confirm that it has let go of the leaver
	left := make(chan error, 1)
	go func() { left <- leaver.Leave(tr.Ctx()) }()
	ref := ring.Ref{ID: uint64(leaver.ID()), Incarnation: leaver.Incarnation()}
	if err := ringtest.RegistryOf(r).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(r).Authority().State(ref) == membership.Leaving }); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if dead := r.Snapshot().Happened[status.EventDead]; dead > 0 {
		t.Errorf("a registry that closes has declared %d members dead", dead)
	}
	net.Heal()
	tr.RestartRegistry(ringdht.WithLease(ringtest.Lease))
	if err := <-left; err != nil {
		t.Error(err)
	}
	tr.Remove(leaver)
	tr.Close()
}
