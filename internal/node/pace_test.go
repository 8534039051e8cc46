package node_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// withBeats makes a registry want so few heartbeats a second that small rings are large.
func withBeats(n int) ringdht.RegistryOption {
	return ringtest.WithRegistryConfig(func(c *registry.Config) { c.Beats = n })
}

// In a large ring nodes beat more seldom, and both sides are as much more patient.
func TestLargeRingsBeatSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = 300 * time.Millisecond
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(lease), withBeats(20))
		const size = 8 // 80 beats a second
		for range size {
			tr.Join(nil)
		}
		tr.Setup(0)
		const (
			pace = 4 // more than there are thirds in a lease
			tick = 10 * time.Millisecond
		)
		time.Sleep(10 * lease)
		heard := func() map[ringdht.ID]time.Time {
			at := make(map[ringdht.ID]time.Time)
			for _, m := range tr.Registry.Snapshot().Members {
				at[m.ID] = m.Heard
			}
			return at
		}
		beats := make(map[ringdht.ID]map[time.Time]bool)
		for range 300 {
			time.Sleep(tick)
			synctest.Wait()
			for id, t := range heard() {
				if beats[id] == nil {
					beats[id] = make(map[time.Time]bool)
				}
				beats[id][t] = true
			}
		}
		total := 0
		for id, at := range beats {
			total += len(at)
			if n := len(at); n < 300/10/pace-1 || n > 300/10/pace+2 {
				t.Errorf("node %d beat %d times in 3 s", id, n)
			}
		}
		if most := 3*20 + 2*size; total > most {
			t.Errorf("%d beats in 3 s, at most %d are asked for", total, most)
		}
		for _, n := range tr.Nodes {
			if inc := ringtest.NodeOf(n).Present(); inc.Timeout() != pace*lease || !inc.Authoritative() {
				t.Errorf("node %d has a timeout of %v, authoritative: %v", n.ID(), inc.Timeout(), inc.Authoritative())
			}
		}

		// Connections break, and those that take their place are as patient from the start.
		incs, joined := make(map[uint64]bool), make(map[ringdht.ID]time.Time)
		for _, m := range tr.Registry.Snapshot().Members {
			joined[m.ID] = m.Joined
		}
		for _, n := range tr.Nodes {
			incs[n.Incarnation()] = true
			ringtest.NodeOf(n).HangUp()
			time.Sleep(tick)
		}
		time.Sleep(10 * lease)
		synctest.Wait()
		s := tr.Registry.Snapshot()
		if n := s.Happened[status.EventSuspect]; n != size {
			t.Errorf("%d connections were lost, %d were broken", n, size)
		}
		for _, m := range s.Members {
			if m.Joined != joined[m.ID] {
				t.Errorf("node %d joined at %v, and had at %v", m.ID, m.Joined, joined[m.ID])
			}
		}
		for _, n := range tr.Nodes {
			if !incs[n.Incarnation()] {
				t.Errorf("node %d has lost its incarnation", n.ID())
			}
		}

		// One that is cut off has four leases, and no more, and is not sure of itself long
		// before they are over: its routes are looked at every third of a lease only.
		lost := tr.Nodes[7]
		start, sure := time.Now(), time.Now()
		net.Hold("n7", "")
		net.Hold("", "n7")
		for len(tr.Registry.Members()) == size {
			if ringtest.NodeOf(lost).Present().Authoritative() {
				sure = time.Now()
			}
			time.Sleep(tick)
			synctest.Wait()
		}
		if took := time.Since(start); took < pace*lease-pace*lease/3-tick || took > pace*lease+2*tick {
			t.Errorf("declared dead after %v", took)
		}
		if early := time.Since(sure); early < lease/3 {
			t.Errorf("it was sure of itself until %v before", early)
		}
		net.Heal()
		time.Sleep(10 * lease)
		synctest.Wait()
		if lost.Incarnation() == 0 || len(tr.Registry.Members()) != size {
			t.Error("it does not join again")
		}

		// When the ring has become small again it is as it was.
		for _, n := range tr.Nodes[2:] {
			n.Close()
		}
		time.Sleep(10 * lease)
		synctest.Wait()
		for _, n := range tr.Nodes[:2] {
			if inc := ringtest.NodeOf(n).Present(); inc.Timeout() != lease {
				t.Errorf("node %d has a timeout of %v", n.ID(), inc.Timeout())
			}
		}
	})
}

// A registry that takes another's place has granted no pace. It asks members that are used to a slow
// one for a heartbeat at once, and tells them its own. It loses none of them.
func TestPaceOfAnEarlierRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = 3 * time.Second
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(lease))
		for range 3 {
			tr.Join(nil)
		}
		tr.Setup(0)
		tr.Registry.Close()
		lives := make(map[*ringtest.Node]uint64)
		for _, n := range tr.Nodes {
			ringtest.NodeOf(n).Present().SetPace(50)
			lives[n] = n.Incarnation()
		}
		tr.RestartRegistry(ringdht.WithLease(lease))
		r := ringtest.RegistryOf(tr.Registry)
		if err := r.Await(tr.Ctx(), func() bool { return r.Authority().Len() == 3 }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * lease)
		synctest.Wait()
		r.Await(tr.Ctx(), func() bool {
			for _, m := range r.Authority().All() {
				if got := r.Authority().Timeout(m.Ref()); got != lease {
					t.Errorf("it is patient with node %d for %v", m.ID, got)
				}
			}
			return true
		})
		for n, life := range lives {
			if n.Incarnation() != life {
				t.Errorf("node %d has lost its incarnation", n.ID())
			}
		}
		tr.Close()
	})
}
