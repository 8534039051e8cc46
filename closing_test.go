package ringdht

import (
	"testing"

	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// A registry that closes hangs up on all, and declares nobody dead for that: neither a member
// that is about to leave, which the next registry lets go.
func TestRegistryClosesWhileANodeLeaves(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net, WithLease(lease))
	for range 4 {
		tr.join(nil)
	}
	tr.setup(0)
	leaver, r := tr.nodes[0], tr.registry
	net.Hold("n2", "registry") // it does not confirm that it has let go of the leaver
	left := make(chan error, 1)
	go func() { left <- leaver.Leave(tr.ctx()) }()
	ref := ring.Ref{ID: uint64(leaver.ID()), Life: leaver.Incarnation()}
	if err := r.await(tr.ctx(), func() bool { return r.members.State(ref) == membership.Leaving }); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if dead := r.kinds[status.EventDead]; dead > 0 {
		t.Errorf("a registry that closes has declared %d members dead", dead)
	}
	net.Heal()
	tr.restart(WithLease(lease))
	if err := <-left; err != nil {
		t.Error(err)
	}
	tr.drop(leaver)
}
