//go:build linux

package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Two nodes cannot reach each other, and all other nodes can reach both.
func TestPartitionOfAPair(t *testing.T) {
	for _, c := range []struct {
		name     string
		distance int  // clockwise, in positions: in a ring of six there are entries at 1, 2 and 4
		back     bool // also the other way
		degraded int  // how many of the two ways are links
	}{
		{"neighbours", 1, true, 1},
		{"entries of each other", 2, true, 2},
		{"neighbours one way", 1, false, 1},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			skipShort(t)
			t.Parallel()
			const nodes = 6
			net := newNetwork(t, nodes+1, 0)
			r := newRing(t, plan{nodes: nodes, rate: rateSmall, place: net.place})
			r.send()
			ring := r.nodes()
			slices.SortFunc(ring, func(a, b *process) int { return cmp.Compare(a.id(), b.id()) })
			a, b := ring[1], ring[1+c.distance]
			at, bt := slices.Index(r.processes, a), slices.Index(r.processes, b)
			r.during(fault{what: "no way between two " + c.name, promise: "a detour, no node is evicted"}, false, func() time.Time {
				net.mute(at, bt)
				if c.back {
					net.mute(bt, at)
				}
				return time.Now()
			})
			r.degraded([][2]*process{{a, b}, {b, a}}[:c.degraded]...)
			r.during(fault{what: "the network is back", promise: "the direct way again"}, false, func() time.Time {
				net.unmute(at, bt)
				if c.back {
					net.unmute(bt, at)
				}
				return time.Now()
			})
			r.degraded()
			r.settle()
			if v := r.finish(); v.unknown+v.withDead > 0 {
				t.Errorf("all nodes lived and were connected, but messages are unknown: %v", v)
			}
		})
	}
}

// Half of the ring is cut off from the registry and the other half.
func TestPartitionOfHalves(t *testing.T) {
	skipShort(t)
	t.Parallel()
	const nodes, far = 6, 3
	net := newNetwork(t, nodes+1, far)
	r := newRing(t, plan{nodes: nodes, rate: rateSmall, place: net.place})
	r.send()
	away := r.nodes()[nodes-far:]
	r.during(fault{what: "half of the ring is cut off from the other half and the registry", promise: "each half goes on"}, true, func() time.Time {
		r.markCutOff(away...)
		net.split()
		return time.Now()
	})
	r.comesBack(net.heal, away...)
	r.finish()
}

// A node's cable is pulled out: no connection is closed, and no message arrives.
func TestPartitionOfOne(t *testing.T) { testPartitionOfOne(t, false) }

func TestPartitionOfOneInASecureRing(t *testing.T) { testPartitionOfOne(t, true) }

func testPartitionOfOne(t *testing.T, secure bool) {
	t.Helper()
	skipShort(t)
	t.Parallel()
	const nodes = 5
	net := newNetwork(t, nodes+1, 0)
	r := newRing(t, plan{nodes: nodes, rate: rateSmall, place: net.place, secure: secure})
	r.send()
	lone := r.node(2)
	at := slices.Index(r.processes, lone)
	r.during(fault{what: "a node's cable is pulled out", promise: "it is declared dead within a lease"}, true, func() time.Time {
		r.markCutOff(lone)
		net.unplug(at)
		now := time.Now()
		r.membership()
		if took := time.Since(now); took > 10*r.plan.lease { // for a busy machine: tests in virtual time demand one
			t.Errorf("it took %v to declare it dead", took)
		}
		return now
	})
	r.comesBack(func() { net.plug(at) }, lone)
	r.finish()
}

// comesBack heals a partition, and waits for the nodes that were cut off.
func (r *ring) comesBack(heal func(), away ...*process) {
	r.t.Helper()
	r.during(fault{what: "the network is back", promise: "the nodes cut off rejoin by themselves, as new incarnations"}, true, func() time.Time {
		heal()
		now := time.Now()
		r.markCutOff()
		r.until("the nodes that were cut off to rejoin", func() bool {
			return !slices.ContainsFunc(away, func(p *process) bool { return p.rejoined == 0 })
		})
		return now
	})
}

// markCutOff marks the nodes that are cut off from the registry and from all others. They
// may be evicted.
func (r *ring) markCutOff(away ...*process) {
	r.mu.Lock()
	r.cutOff = away
	r.mu.Unlock()
	for _, p := range away {
		p.mayBeEvicted()
	}
}

// degraded waits until the registry lists these pairs, and no others, as pairs of which the
// first cannot reach the second.
func (r *ring) degraded(want ...[2]*process) {
	r.t.Helper()
	r.need(func() string {
		ids := [][2]uint64{}
		for _, pair := range want {
			ids = append(ids, [2]uint64{pair[0].id(), pair[1].id()})
		}
		if len(ids) == len(r.registry.pairs) && !slices.ContainsFunc(ids, func(x [2]uint64) bool { return !slices.Contains(r.registry.pairs, x) }) {
			return ""
		}
		return fmt.Sprintf("the registry to list %v as degraded, it lists %v", ids, r.registry.pairs)
	})
}
