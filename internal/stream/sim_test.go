package stream

import (
	"flag"
	"testing"
)

var (
	simSeed = flag.Uint64("seed", 0, "run the simulation of this seed only")
	simRuns = flag.Int("runs", 0, "how many seeds to simulate, from -from on")
	simFrom = flag.Uint64("from", 1, "the first seed")
)

// TestSimulation runs worlds of all kinds. To see one again: -run Simulation -seed N.
func TestSimulation(t *testing.T) {
	from, runs := *simFrom, 3000
	switch {
	case *simSeed != 0:
		from, runs = *simSeed, 1
	case *simRuns != 0:
		runs = *simRuns
	case testing.Short() || raceEnabled:
		runs = 300
	}
	var finish, stall Time
	var messages, bundled, frames, failed int
	for seed := from; seed < from+uint64(runs); seed++ {
		w := newWorld(seed)
		f, s, err := w.run()
		if err != nil {
			t.Errorf("-seed %d: %v", seed, err)
			if failed++; failed == 10 {
				t.FailNow()
			}
		}
		finish, stall = max(finish, f), max(stall, s)
		frames += w.net.sent
		for _, logs := range w.ledger.logs {
			for _, s := range logs {
				messages += s.done
				bundled += s.bundled
			}
		}
	}
	if bundled < messages/4 && runs > 1 {
		t.Errorf("of %d messages %d shared a frame", messages, bundled)
	}
	t.Logf("%d worlds, %d messages handled, %d sent in bundles, %d frames sent; the longest finish took %v, the longest wait for progress %v",
		runs, messages, bundled, frames, finish, stall)
}
