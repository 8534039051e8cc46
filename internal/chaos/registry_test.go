//go:build linux

package chaos

import (
	"slices"
	"testing"
	"time"
)

// The registry crashes, a node crashes meanwhile, and a new registry starts at the same
// port, without a ring.
func TestRegistryRestartOfFive(t *testing.T) {
	skipShort(t)
	t.Parallel()
	testRegistryRestart(t, plan{nodes: 5, rate: rateSmall})
}

func TestRegistryRestartOfASecureRing(t *testing.T) {
	skipShort(t)
	t.Parallel()
	testRegistryRestart(t, plan{nodes: 5, rate: rateSmall, secure: true})
}

func TestRegistryRestartOfSixteen(t *testing.T) {
	skipShort(t)
	testRegistryRestart(t, plan{nodes: 16, entries: 3, rate: rateLarge})
}

func testRegistryRestart(t *testing.T, p plan) {
	r := newRing(t, p)
	r.send()
	before := r.epoch()

	r.during(fault{what: "the registry is killed", promise: "messages flow"}, false, r.registry.kill)
	victim := r.node(2)
	r.during(fault{what: "a node is killed while the registry is away", promise: "the others route around it"}, false, victim.kill)
	r.during(fault{what: "the registry starts again at its port", promise: "it knows all members again, no node is evicted"}, true, func() time.Time {
		at := time.Now()
		r.startRegistry()
		return at
	})
	old := r.known()
	r.during(fault{what: "a node joins after that", promise: "no ID is given out twice, the epoch has grown"}, true, func() time.Time {
		at := time.Now()
		p := r.addNode()
		if slices.Contains(old, p.held[0].id) {
			t.Errorf("the newcomer got the ID %d, which was given out before: %v", p.held[0].id, old)
		}
		return at
	})
	if now := r.epoch(); now <= before {
		t.Errorf("the epoch was %d and is %d", before, now)
	}
	r.finish()
}

// A registry that does not run for several leases declares no member dead because of it.
func TestRegistryStops(t *testing.T) {
	skipShort(t)
	t.Parallel()
	r := newRing(t, plan{nodes: 5, rate: rateSmall})
	r.send()
	var stopped time.Time
	r.during(fault{what: "the registry stops for three leases", promise: "messages flow"}, false, func() time.Time {
		stopped = r.registry.stop()
		return stopped
	})
	time.Sleep(time.Until(stopped.Add(3 * r.plan.lease)))
	r.during(fault{what: "it continues", promise: "no node is evicted"}, true, r.registry.cont)
	time.Sleep(r.plan.lease) // a wrong eviction would come in this time
	r.during(fault{what: "a node is killed after that", promise: "it is noticed"}, true, r.node(0).kill)
	r.finish()
}

// epoch is the greatest epoch of a node's table.
func (r *ring) epoch() (epoch uint64) {
	r.all(r.nodes(), func(p *process) error { _, err := p.ask(command{Do: "state"}); return err })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.living() {
		epoch = max(epoch, p.state.Epoch)
	}
	return epoch
}
