package ringdht

import "testing"

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
	if err := r.await(tr.ctx(), func() bool { return r.members.Len() == 3 }); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if dead := r.kinds[EventDead]; dead > 0 {
		t.Errorf("a registry that closes has declared %d members dead", dead)
	}
	net.Heal()
	tr.restart(WithLease(lease))
	if err := <-left; err != nil {
		t.Error(err)
	}
	tr.drop(leaver)
}
