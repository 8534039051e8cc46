package ringdht

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/membership"
)

// In a large ring nodes beat more seldom, and both sides are as much more patient; here
// the lease is short instead.
func TestLargeRingsBeatSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = 30 * time.Millisecond
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		const size = 40 // 4,000 beats a second
		for range size {
			tr.join(nil)
		}
		tr.setup(0)
		const pace = 3
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
			time.Sleep(time.Millisecond)
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
				t.Errorf("node %d beat %d times in 300 ms", id, n)
			}
		}
		if most := membership.MaxBeats*3/10 + 2*size; total > most {
			t.Errorf("%d beats in 300 ms, at most %d are asked for", total, most)
		}
		for _, n := range tr.nodes {
			if l := n.life.Load(); l.patience() != pace*lease || !l.sure() {
				t.Errorf("node %d is patient for %v, sure: %v", n.ID(), l.patience(), l.sure())
			}
		}

		// One that is cut off has three leases, and no more.
		lost := tr.nodes[7]
		start := time.Now()
		net.Hold("n7", "")
		net.Hold("", "n7")
		for len(tr.registry.Members()) == size {
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		if took := time.Since(start); took < pace*lease-pace*lease/3-time.Millisecond || took > pace*lease+2*time.Millisecond {
			t.Errorf("declared dead after %v", took)
		}
		net.Heal()
		time.Sleep(10 * lease)
		synctest.Wait()
		if lost.Life() == 0 || len(tr.registry.Members()) != size {
			t.Error("it does not join again")
		}

		// When the ring has become small again it is as it was.
		for _, n := range tr.nodes[10:] {
			n.Close()
		}
		time.Sleep(10 * lease)
		synctest.Wait()
		for _, n := range tr.nodes[:10] {
			if l := n.life.Load(); l.patience() != lease {
				t.Errorf("node %d is patient for %v", n.ID(), l.patience())
			}
		}
	})
}
