//go:build linux

package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var rateCalls = scaled(500) // calls a second of the whole ring

// calling starts the calls of all nodes.
func (r *ring) calling() {
	r.t.Helper()
	r.mu.Lock()
	r.began = time.Now()
	r.mu.Unlock()
	r.all(r.nodes(), func(p *process) error { _, err := p.ask(r.traffic()); return err })
}

// whole waits until all nodes are members and ready again.
func (r *ring) whole() {
	r.t.Helper()
	r.settle()
	r.until("all nodes to be ready", func() bool {
		return !slices.ContainsFunc(r.living(), func(p *process) bool { return !p.ready })
	})
}

// All kinds of faults, while all nodes call each other.
func TestCalls(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("secure=", secure), func(t *testing.T) {
			skipShort(t)
			t.Parallel()
			seed := *flagSeed
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("again with: go test -v ./internal/chaos -run %s$ -chaos.seed %d -chaos.time %v", t.Name(), seed, *flagTime)
			rng := rand.New(rand.NewPCG(seed, 0))
			x := &mix{rng: rng, began: time.Now()}
			x.ring = newRing(t, plan{nodes: 5 + rng.IntN(4), rate: rateCalls, role: "caller", secure: secure})
			x.calling()
			for time.Since(x.began) < *flagTime {
				x.step()
			}
			x.end()
			x.whole()
			x.told()
		})
	}
}

// A node's cable is pulled out and put back, while all nodes call each other.
func TestCallsAcrossAPartition(t *testing.T) {
	skipShort(t)
	t.Parallel()
	const nodes = 5
	net := newNetwork(t, nodes+1, 0)
	r := newRing(t, plan{nodes: nodes, rate: rateCalls, role: "caller", place: net.place})
	r.calling()
	time.Sleep(observation)
	lone := r.node(2)
	at := slices.Index(r.processes, lone)
	r.markCutOff(lone)
	net.unplug(at)
	r.membership()
	time.Sleep(observation)
	net.plug(at)
	r.markCutOff()
	r.until("the node that was cut off to rejoin", func() bool { return lone.rejoined > 0 })
	r.whole()
	time.Sleep(observation)
	r.told()
}

// A callee stops for longer than its lease, with calls under way both ways, and wakes up. It answers
// none of its past life's requests as its new one, and begins none. The callers' outcomes are unknown.
func TestCallsOfAPastLife(t *testing.T) {
	skipShort(t)
	t.Parallel()
	r := newRing(t, plan{nodes: 4, rate: rateCalls, role: "caller"})
	r.calling()
	callee := r.node(1)
	callee.mayBeEvicted()
	for lives := 1; lives <= 2; lives++ {
		time.Sleep(observation)
		stopped := callee.stop()
		time.Sleep(time.Until(stopped.Add(2 * r.plan.lease)))
		callee.cont()
		r.until(callee.name+" to rejoin", func() bool { return callee.rejoined == lives })
		r.whole()
	}
	time.Sleep(observation)
	all := r.told()

	r.mu.Lock()
	held := slices.Clone(callee.held)
	r.mu.Unlock()
	lives := make(map[callKey]uint64) // in which the callee has begun to handle a call
	joined := make(map[uint64]int64)  // a life, and when its first request was handled
	for _, j := range all {
		for _, s := range j.steps {
			if j.process == callee.terms.Process && s.What == handled {
				lives[callKey{s.Process, s.Number}] = s.Life
				if joined[s.Life] == 0 {
					joined[s.Life] = s.At
				}
			}
		}
	}
	ended := make(map[callKey]step)
	for _, j := range all {
		for _, s := range j.steps {
			if s.What != handled && s.What != begun {
				ended[callKey{s.Process, s.Number}] = s
			}
		}
	}
	unknowns, late := 0, 0
	for _, j := range all {
		for _, s := range j.steps {
			k := callKey{s.Process, s.Number}
			life, end := lives[k], ended[k]
			if s.What != begun || j.process == callee.terms.Process {
				continue
			}
			if end.What == unknown { // it was under way to the callee, handled or not: no other node stopped
				unknowns++
			}
			if life == 0 {
				continue
			}
			if end.What == answered && end.Life != life {
				t.Errorf("call %d of %s was handled in the life %d, and answered in %d", s.Number, j.name, life, end.Life)
			}
			// A request that was sent to an earlier life was told to be over before the new life had its
			// first request.
			if end.At < joined[life] {
				late++
				t.Errorf("call %d of %s ended as %s before the life %d began to handle it", s.Number, j.name, end.What, life)
			}
		}
	}
	t.Logf("%s had the lives %v; %d calls have unknown outcomes", callee.name, held, unknowns)
	if unknowns == 0 {
		t.Error("void: no call was under way")
	}
}
