package ringdht

import (
	"testing"
	"time"
)

// A registry with a grace period takes the place of another like one without: the ring is
// live when its members are back, and needs no set-up.
func TestRestartWithGrace(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1), WithLease(time.Second))
	for range 4 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(2)
	tr.registry.Close()
	for _, n := range tr.nodes {
		<-n.Disconnected()
	}
	tr.restart(WithLease(time.Second), WithGrace(time.Second))
	if err := tr.registry.WaitMembers(tr.ctx(), 4); err != nil {
		t.Fatal(err)
	}
	tr.settled()
	newcomer := tr.join(nil, WithTraffic())
	if err := newcomer.Ready(tr.ctx()); err != nil {
		t.Fatal(err)
	}
	tr.run(Traffic{Messages: 100})
	if a := tr.registry.Audit(); !a.OK() || a.Nodes != 5 || a.Entries != 2 {
		t.Errorf("%v", a)
	}
}
