package ringtest_test

import (
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A newcomer that cannot reach its successor reports so before it is linked, while its link to
// another peer is slow. There is a detour around the pair all the same.
func TestTroubleBeforeLinkedIsDetoured(t *testing.T) {
	ringtest.InBubble(t, 0, []ringdht.ID{10, 20, 30, 40, 50}, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		net.Cut("n5", "n2")  // 30, the successor of the newcomer
		net.Hold("n5", "n3") // 40, the other entry that is near
		n := tr.Join(nil, ringdht.WithID(25), ringdht.WithTraffic())
		time.Sleep(ringtest.Lease / 4) // it has reported the one, and dials the other
		if n.Table().Epoch() > 0 {
			t.Error("the newcomer is linked already: this test shows nothing")
		}
		degraded := func() {
			t.Helper()
			if pairs := tr.Registry.Degraded(); len(pairs) == 0 || pairs[0].From.ID != 25 || pairs[0].To.ID != 30 {
				t.Errorf("degraded are %v", pairs)
			}
		}
		degraded()
		net.Release("n5", "n3")
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		degraded()
		start := time.Now()
		tr.Exchange(tr.Nodes...)
		ringtest.CheckElapsed(t, "delivery past the pair", start, 3*ringtest.Lease)
		if hops, err := n.Trace(tr.Ctx(), 30); err != nil || len(hops) != 2 {
			t.Errorf("the route to the successor is %v: %v", hops, err)
		}
		if c := n.Status().Counters; c.Detoured == 0 {
			t.Error("nothing took the detour")
		}
		net.Mend("n5", "n2")
		if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return len(ringtest.RegistryOf(tr.Registry).Authority().Unreachable()) == 0 }); err != nil {
			t.Fatal(err)
		}
		tr.Exchange(tr.Nodes...)
	})
}

// A registry was told of an unreachable pair, and has forgotten it after tables that do not
// need it. When the pair is needed again, while the node still tries the peer, the node reports
// it again.
func TestTroubleIsToldAgainWithANewTable(t *testing.T) {
	ringtest.InBubble(t, 1, []ringdht.ID{10, 20, 40, 50, 60}, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		net.Cut("n1", "n2") // 20 and its successor 40
		tr.Exchange(tr.Nodes...)
		between := tr.Join(nil, ringdht.WithID(30), ringdht.WithTraffic())
		if err := between.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		tr.WaitSettled()
		time.Sleep(ringtest.Lease)
		if pairs := tr.Registry.Degraded(); len(pairs) != 0 {
			t.Fatalf("degraded are %v: no table needs the pair, so this test shows nothing", pairs)
		}
		if err := between.Leave(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		tr.Remove(between)
		start := time.Now()
		tr.Exchange(tr.Nodes...)
		ringtest.CheckElapsed(t, "delivery past the pair", start, 3*ringtest.Lease)
		if pairs := tr.Registry.Degraded(); len(pairs) == 0 || pairs[0].From.ID != 20 || pairs[0].To.ID != 40 {
			t.Errorf("degraded are %v", pairs)
		}
	})
}

// The same holds for two such peers at once.
func TestTwoTroublesBeforeLinked(t *testing.T) {
	ringtest.InBubble(t, 0, []ringdht.ID{10, 20, 30, 40, 50, 60, 70, 80}, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		net.Cut("n8", "n2") // 30
		net.Cut("n8", "n3") // 40
		net.Hold("n8", "n4")
		n := tr.Join(nil, ringdht.WithID(25), ringdht.WithTraffic())
		time.Sleep(ringtest.Lease / 4)
		net.Release("n8", "n4")
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		tr.Exchange(tr.Nodes...)
		ringtest.CheckElapsed(t, "delivery past both", start, 3*ringtest.Lease)
	})
}

// The same holds for newcomers that join together and cannot reach each other.
func TestTroubleAmongNewcomers(t *testing.T) {
	ringtest.InBubble(t, 0, []ringdht.ID{10, 20, 30, 40, 50}, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		hosts := []string{"n5", "n6", "n7"}
		for i, a := range hosts {
			for _, b := range hosts[i+1:] {
				net.Cut(a, b)
			}
			net.Hold(a, "n3")
		}
		for _, id := range []ringdht.ID{24, 25, 26} {
			tr.Join(nil, ringdht.WithID(id), ringdht.WithTraffic())
		}
		time.Sleep(ringtest.Lease / 4)
		for _, a := range hosts {
			net.Release(a, "n3")
		}
		for _, n := range tr.Nodes {
			if err := n.Ready(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		tr.Exchange(tr.Nodes...)
		ringtest.CheckElapsed(t, "delivery among newcomers", start, 3*ringtest.Lease)
	})
}

// The same holds for a pair that was reported to a registry and not to its successor.
func TestTroubleOutlivesTheRegistry(t *testing.T) {
	ringtest.InBubble(t, 0, []ringdht.ID{10, 20, 30, 40, 50}, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		net.Cut("n5", "n2") // 30
		net.Hold("n5", "n3")
		n := tr.Join(nil, ringdht.WithID(25), ringdht.WithTraffic())
		time.Sleep(ringtest.Lease / 4)
		tr.Registry.Close()
		time.Sleep(ringtest.Lease)
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease))
		time.Sleep(ringtest.Lease / 4)
		net.Release("n5", "n3")
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		tr.Exchange(tr.Nodes...)
		ringtest.CheckElapsed(t, "delivery past the pair", start, 3*ringtest.Lease)
		tr.Registry.Close()
	})
}
