package ringdht

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/status"
)

// withBeats makes a registry want so few heartbeats a second that small rings are large.
func withBeats(n int) RegistryOption { return registryOption(func(c *registryConfig) { c.beats = n }) }

// In a large ring nodes beat more seldom, and both sides are as much more patient.
func TestLargeRingsBeatSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = 300 * time.Millisecond
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease), withBeats(20))
		const size = 8 // 80 beats a second
		for range size {
			tr.join(nil)
		}
		tr.setup(0)
		const (
			pace = 4 // more than there are thirds in a lease
			tick = 10 * time.Millisecond
		)
		time.Sleep(10 * lease)
		heard := func() map[ID]time.Time {
			at := make(map[ID]time.Time)
			for _, m := range tr.registry.Snapshot().Members {
				at[m.ID] = m.Heard
			}
			return at
		}
		beats := make(map[ID]map[time.Time]bool)
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
		for _, n := range tr.nodes {
			if inc := n.inc.Load(); inc.patience() != pace*lease || !inc.sure() {
				t.Errorf("node %d is patient for %v, sure: %v", n.ID(), inc.patience(), inc.sure())
			}
		}

		// Connections break, and those that take their place are as patient from the start.
		lives, joined := make(map[uint64]bool), make(map[ID]time.Time)
		for _, m := range tr.registry.Snapshot().Members {
			joined[m.ID] = m.Joined
		}
		for _, n := range tr.nodes {
			lives[n.Incarnation()] = true
			n.ctl.Load().Close()
			time.Sleep(tick)
		}
		time.Sleep(10 * lease)
		synctest.Wait()
		s := tr.registry.Snapshot()
		if n := s.Happened[status.EventDoubted]; n != size {
			t.Errorf("%d connections were lost, %d were broken", n, size)
		}
		for _, m := range s.Members {
			if m.Joined != joined[m.ID] {
				t.Errorf("node %d joined at %v, and had at %v", m.ID, m.Joined, joined[m.ID])
			}
		}
		for _, n := range tr.nodes {
			if !lives[n.Incarnation()] {
				t.Errorf("node %d has lost its life", n.ID())
			}
		}

		// One that is cut off has four leases, and no more, and is not sure of itself long
		// before they are over: its routes are looked at every third of a lease only.
		lost := tr.nodes[7]
		start, sure := time.Now(), time.Now()
		net.Hold("n7", "")
		net.Hold("", "n7")
		for len(tr.registry.Members()) == size {
			if lost.inc.Load().sure() {
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
		if lost.Incarnation() == 0 || len(tr.registry.Members()) != size {
			t.Error("it does not join again")
		}

		// When the ring has become small again it is as it was.
		for _, n := range tr.nodes[2:] {
			n.Close()
		}
		time.Sleep(10 * lease)
		synctest.Wait()
		for _, n := range tr.nodes[:2] {
			if inc := n.inc.Load(); inc.patience() != lease {
				t.Errorf("node %d is patient for %v", n.ID(), inc.patience())
			}
		}
	})
}

// A registry that takes another's place is as patient from the start as its nodes are used
// to.
func TestPaceIsTakenAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = 3 * time.Second
		tr := newTestRing(t, NewMemoryNetwork(1), WithLease(lease))
		for range 3 {
			tr.join(nil)
		}
		tr.setup(0)
		tr.registry.Close()
		for _, n := range tr.nodes {
			n.inc.Load().pace.Store(5)
		}
		tr.restart(WithLease(lease))
		r := tr.registry
		err := r.await(tr.ctx(), func() bool {
			if r.members.Len() < 3 {
				return false
			}
			for _, m := range r.members.All() {
				if got := r.members.Patience(m.Ref()); got != 5*lease {
					t.Errorf("it is patient with node %d for %v", m.ID, got)
				}
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		tr.close()
	})
}
