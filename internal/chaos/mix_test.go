//go:build linux

package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// All kinds of faults in a random order. Faults do not wait for each other.
func TestMix(t *testing.T) { testMix(t, false) }

func TestMixOfASecureRing(t *testing.T) { testMix(t, true) }

func testMix(t *testing.T, secure bool) {
	skipShort(t)
	t.Parallel()
	seed := *flagSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again with: go test -v ./internal/chaos -run %s$ -chaos.seed %d -chaos.time %v", t.Name(), seed, *flagTime)
	rng := rand.New(rand.NewPCG(seed, 0))
	p := plan{nodes: 5 + rng.IntN(6), payload: minBody + rng.IntN(1000), drawn: rng.IntN(2) == 0, secure: secure}
	p.rate = []int{rateSmall, 5 * rateSmall, 0}[rng.IntN(3)]
	p.floor = rateSmall / 20 // a sender that draws its sinks also waits for dead ones until they are known to be dead
	x := &mix{ring: newRing(t, p), rng: rng, began: time.Now()}
	x.note("%d nodes, bodies of %d bytes, %d a second, sinks drawn %t", p.nodes, p.payload, p.rate, p.drawn)
	x.send()
	for time.Since(x.began) < *flagTime {
		x.step()
	}
	x.during(fault{what: fmt.Sprintf("%d faults of all kinds in %v", x.faults, *flagTime), promise: "afterwards the ring is whole"}, true, x.end)
	x.until("all nodes to be ready", func() bool {
		return !slices.ContainsFunc(x.living(), func(p *process) bool { return !p.ready })
	})
	x.finish()
}

// mix is a ring and the faults that were injected.
type mix struct {
	*ring
	rng      *rand.Rand
	began    time.Time
	faults   int
	restarts int
	asleep   []sleeper
	dead     []uint64 // IDs of killed nodes
}

// sleeper is a stopped process, and when it continues.
type sleeper struct {
	*process
	until time.Time
}

func (x *mix) note(format string, args ...any) {
	x.t.Logf("%s %6.2f s  %s", time.Now().Format("15:04:05.000"), time.Since(x.began).Seconds(), fmt.Sprintf(format, args...))
}

// step injects one random fault, if it is possible now, and waits for a random time.
func (x *mix) step() {
	x.wake(false)
	const least = 3 // so that there are relays
	nodes := x.nodes()
	some := func() *process { return nodes[x.rng.IntN(len(nodes))] }
	here := x.registry.running && !x.registry.stopped
	plenty := len(nodes) > least
	lease := x.plan.lease
	done := true
	switch x.rng.IntN(10) {
	case 0:
		if done = plenty; done {
			p := some()
			x.dead = append(x.dead, p.id())
			x.note("%s (%d) is killed", p.name, p.id())
			p.kill()
		}
	case 1, 2:
		if done = plenty; done {
			x.sleep(some(), lease/10, lease/2)
		}
	case 3:
		if done = plenty; done {
			x.sleep(some(), lease, 3*lease)
		}
	case 4, 8, 9:
		if done = here && len(nodes)+len(x.asleep) < 16; done {
			var asked []uint64
			if free := x.free(); len(free) > 0 && x.rng.IntN(2) == 0 {
				asked = free[:1]
			}
			x.comes(asked...)
		}
	case 5:
		if done = plenty && here; done {
			p := some()
			x.note("%s (%d) leaves", p.name, p.id())
			x.leaves(p)
		}
	case 6:
		if done = here; done {
			x.sleep(x.registry, lease/10, 2*lease)
		}
	case 7:
		if here {
			x.note("the registry is killed")
			x.registry.kill()
		} else if done = !x.registry.running; done {
			x.note("the registry starts again")
			x.restarts++
			x.startRegistry()
		}
	}
	if !done {
		return
	}
	x.faults++
	time.Sleep(time.Duration(x.rng.Int64N(int64(lease / 2))))
}

// sleep stops a process for some time.
func (x *mix) sleep(p *process, least, most time.Duration) {
	d := least + time.Duration(x.rng.Int64N(int64(most-least)))
	x.note("%s (%d) stops for %v", p.name, p.id(), d.Round(time.Millisecond))
	p.mayBeEvicted() // even a short stop may be too long if the registry goes away meanwhile
	p.stop()
	x.asleep = append(x.asleep, sleeper{p, time.Now().Add(d)})
}

// wake continues the sleepers whose time has come, or all.
func (x *mix) wake(all bool) {
	left := x.asleep[:0]
	for _, s := range x.asleep {
		if all || time.Now().After(s.until) {
			x.note("%s continues", s.name)
			s.cont()
		} else {
			left = append(left, s)
		}
	}
	x.asleep = left
}

// comes starts a node, which sends as soon as it has joined.
func (x *mix) comes(id ...uint64) {
	t := terms{}
	if len(id) > 0 {
		t.AskID, t.ID = true, id[0]
	}
	p := x.launchNode(t)
	x.joins(p)
	if x.restarts > 0 { // a registry without a ring may give it an ID that is taken
		p.mayBeEvicted()
	}
	x.note("%s (%d) has joined, asked for %v", p.name, p.id(), id)
	p.must(x.traffic())
}

// free lists the IDs of dead nodes that the registry knows to be dead.
func (x *mix) free() []uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dead = slices.DeleteFunc(x.dead, func(id uint64) bool {
		return slices.ContainsFunc(x.living(), func(p *process) bool { return p.id() == id })
	})
	return slices.DeleteFunc(slices.Clone(x.dead), func(id uint64) bool { return slices.Contains(x.registry.members, id) })
}

// leaves has a node leave in good order, and does not wait for it.
func (x *mix) leaves(p *process) {
	x.mu.Lock()
	p.asked = true
	x.mu.Unlock()
	x.wg.Go(func() {
		if _, err := p.ask(command{Do: "leave"}); err != nil {
			x.mu.Lock()
			x.complain("%v", err)
			x.mu.Unlock()
		}
	})
}

// end ends all faults.
func (x *mix) end() time.Time {
	at := time.Now()
	x.wake(true)
	if !x.registry.running {
		x.note("the registry starts again")
		x.startRegistry()
	}
	return at
}
