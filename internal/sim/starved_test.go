package sim

import "testing"

// starvedFrom is the first seed of the worlds with shortages of the processor: registry and
// nodes share a machine, and run only for moments.
const starvedFrom = 5_000_000_000

// TestSimulationOfShortages runs worlds with shortages of the processor. A registry must not
// declare a member dead because of one.
func TestSimulationOfShortages(t *testing.T) { simulate(t, *simFrom-1+starvedFrom, 400) }

// shortage stops all running processes for most of a lease, lets them run for a twentieth of
// one, and so on, for up to five leases. It is no reason to declare a member dead.
func (w *world) shortage() {
	if w.now < w.rested {
		return // two in a row would exceed the bound of Stretch
	}
	end := w.now + w.lease + w.jitter2(4*w.lease)
	w.rested = end + 4*w.lease
	w.logf("--- a shortage until %v", end)
	var halt func()
	halt = func() {
		if w.now >= end {
			return
		}
		var still []*process // the registry is last: the nodes must wake before it
		for _, p := range append(w.alive(), w.registry.p) {
			if p.state == running {
				p.stop()
				still = append(still, p)
			}
		}
		w.events.push(w.now+w.lease*3/10+w.jitter2(w.lease/2), func() {
			for _, p := range still {
				if p.state == stopped {
					was := p.troubled
					p.wake()
					p.troubled = was
				}
			}
			w.later(w.lease/20, halt)
		})
	}
	halt()
}
