//go:build linux

package chaos

import (
	"slices"
	"testing"
	"time"
)

func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
}

func TestNoFault(t *testing.T) {
	r := newRing(t, plan{nodes: 5, rate: rateSmall})
	r.send()
	r.calm(time.Second)
	if v := r.finish(); v.unknown+v.withDead > 0 {
		t.Errorf("messages are unknown without a fault: %v", v)
	}
}

// Nodes crash, stop for a while, join and rejoin.
func TestFiveNodes(t *testing.T) {
	skipShort(t)
	t.Parallel()
	r := newRing(t, plan{nodes: 5, rate: rateSmall})
	r.send()

	killed := r.node(1)
	r.during(fault{what: "a node is killed", promise: "the others go on; its messages are reported as undelivered"}, true, killed.kill)

	short := r.node(1)
	r.during(fault{what: "a node stops for half a lease", promise: "no node is evicted, nothing is lost"}, true, func() time.Time {
		short.stop()
		time.Sleep(r.plan.lease / 2)
		return short.cont()
	})

	long := r.node(2)
	long.mayBeEvicted()
	var stopped time.Time
	r.during(fault{what: "a node stops for three leases", promise: "the others declare it dead and go on"}, true, func() time.Time {
		stopped = long.stop()
		return stopped
	})
	time.Sleep(time.Until(stopped.Add(3 * r.plan.lease)))
	r.during(fault{what: "it continues", promise: "it rejoins by itself, as a new incarnation"}, true, func() time.Time {
		at := long.cont()
		r.until(long.name+" to rejoin", func() bool { return long.rejoined > 0 })
		return at
	})

	r.during(fault{what: "a node joins", promise: "it takes part at once, tables are settled"}, true, func() time.Time {
		at := time.Now()
		r.addNode()
		return at
	})

	old := killed.held[0].id
	r.during(fault{what: "the killed node starts again", promise: "it gets its ID again, as a new incarnation"}, true, func() time.Time {
		at := time.Now()
		again := r.addNode(old)
		if again.held[0].id != old {
			t.Errorf("it asked for %d and got %d", old, again.held[0].id)
		}
		return at
	})
	r.finish()
}

// Three of sixteen nodes are killed, one after the other, while all nodes send to all
// others, a million messages in all.
func TestSixteenNodes(t *testing.T) {
	skipShort(t)
	r := newRing(t, plan{nodes: 16, rate: rateLarge})
	r.send()
	for i := range uint64(3) {
		r.untilAccepted((i + 1) * million / 5)
		victim := r.node(int(3 + 4*i))
		r.during(fault{what: "a node is killed", promise: "the others go on; its messages are reported as undelivered"}, true, victim.kill)
	}
	r.untilAccepted(million)
	if v := r.finish(); v.received < million*9/10 {
		t.Errorf("%v", v)
	}
}

func (r *ring) untilAccepted(n uint64) {
	r.t.Helper()
	r.until("enough traffic", func() bool {
		sum := uint64(0)
		for _, p := range r.processes {
			sum += p.state.Accepted
		}
		return sum >= n
	})
}

// known lists all IDs that were ever given out.
func (r *ring) known() (ids []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.processes {
		for _, i := range p.held {
			if !slices.Contains(ids, i.id) {
				ids = append(ids, i.id)
			}
		}
	}
	return ids
}
