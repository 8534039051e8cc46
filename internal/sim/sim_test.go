package sim

import (
	"flag"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	simSeed   = flag.Uint64("seed", 0, "run the simulation of this seed only")
	simRuns   = flag.Int("runs", 0, "how many seeds to simulate, from -from on")
	simFrom   = flag.Uint64("from", 1, "the first seed")
	simFirst  = flag.Bool("first", false, "stop at the first seed that fails")
	simEvents = flag.Bool("events", false, "print everything that happens")
)

var debugPanics = false

// raceRuns bounds the worlds of a kind with the race detector. A world has one goroutine, so the
// detector can only find what worlds share; without it many worlds run, in a step of their own.
const raceRuns = 40

// TestSimulation runs worlds of all kinds. To see one again: -run Simulation -seed N.
func TestSimulation(t *testing.T) { simulate(t, *simFrom, 1800) }

// TestSimulationOfFewestHops runs worlds with tables of the fewest hops.
func TestSimulationOfFewestHops(t *testing.T) { simulate(t, *simFrom-1+fewestFrom, 800) }

// TestSimulationOfUnreachable runs worlds with newcomers that cannot reach all members.
func TestSimulationOfUnreachable(t *testing.T) { simulate(t, *simFrom-1+unreachableFrom, 800) }

// TestSimulationOfClocks runs worlds with registries whose clocks disagree.
func TestSimulationOfClocks(t *testing.T) { simulate(t, *simFrom-1+clocksFrom, 800) }

// kind is the kind of a seed's world: 0 the first, 1 from fewestFrom on, 2 from
// unreachableFrom on, 3 from clocksFrom on, 4 from movingFrom on, 5 from starvedFrom on,
// 6 from ringsFrom on, 7 from liarsFrom on, 8 from secureFrom on, 9 from namesFrom on,
// 10 from leavesFrom on.
func kind(seed uint64) uint64 { return seed / fewestFrom }

func simulate(t *testing.T, from uint64, runs int) {
	switch {
	case *simSeed != 0 && kind(*simSeed) != kind(from):
		t.Skip("a seed of the others")
	case *simSeed != 0:
		from, runs = *simSeed, 1
		debugPanics = true
	case *simRuns != 0:
		runs = *simRuns
	case raceEnabled:
		runs = min(runs, raceRuns)
	case testing.Short():
		runs = min(runs, 300)
	}
	var (
		next    atomic.Uint64
		wg      sync.WaitGroup
		mu      sync.Mutex
		sum     counters
		settled Time
		longest Time
		failed  int
		virtual Time
	)
	for range 2 {
		wg.Go(func() {
			for {
				seed := next.Add(1) - 1
				mu.Lock()
				enough := failed >= 10 || failed > 0 && *simFirst
				mu.Unlock()
				if seed >= uint64(runs) || enough {
					return
				}
				w := newWorld(from + seed)
				w.tracing = *simEvents
				err := w.run()
				mu.Lock()
				if err != nil {
					failed++
					t.Errorf("-seed %d: %v", w.seed, err)
				}
				sum.add(w.count)
				settled, longest = max(settled, w.settled), max(longest, w.longest)
				virtual += w.now
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if runs >= raceRuns && failed == 0 && sum.bundled < sum.accepted/10 {
		t.Errorf("of %d messages %d shared a frame", sum.accepted, sum.bundled)
	}
	t.Logf("%d worlds, %v of virtual time: %+v; the longest settling took %v, the longest delivery %v", runs, virtual, sum, settled, longest)
}

func (c *counters) add(d counters) {
	c.accepted += d.accepted
	c.delivered += d.delivered
	c.unknown += d.unknown
	c.bundled += d.bundled
	c.left += d.left
	c.standby += d.standby
	c.services += d.services
	c.unlisted += d.unlisted
	c.frames += d.frames
	c.full += d.full
	c.dropped += d.dropped
	c.down += d.down
	c.overshot += d.overshot
	c.detours += d.detours
	c.deaths += d.deaths
	c.births += d.births
	c.faults += d.faults
	c.renewals += d.renewals
	c.liars += d.liars
	c.named += d.named
	c.rings += d.rings
	c.strangers += d.strangers
	c.forsaken += d.forsaken
	c.readmitted += d.readmitted
	c.rotations += d.rotations
	c.expelled += d.expelled
	c.refusals += d.refusals
	c.otherRegistries += d.otherRegistries
	c.restarts += d.restarts
	c.lapsed += d.lapsed
}
