package sim

import "testing"

// starvedFrom is the seed from which on worlds are short of the processor now and then:
// registry and nodes, which share a machine, run a moment only, again and again.
const starvedFrom = 5_000_000_000

// TestSimulationOfShortages runs worlds in which nobody may be declared dead for that.
func TestSimulationOfShortages(t *testing.T) { simulate(t, *simFrom-1+starvedFrom, 400) }

// shortage lets everything that runs stand still for most of a lease, run for a twentieth of
// one, and so on, for up to five leases. It is no reason to take anybody for dead.
func (w *world) shortage() {
	if w.now < w.rested {
		return // one after the other would be more than the bound
	}
	end := w.now + w.lease + w.jitter2(4*w.lease)
	w.rested = end + 4*w.lease
	w.logf("--- a shortage until %v", end)
	var halt func()
	halt = func() {
		if w.now >= end {
			return
		}
		var still []*process // the registry last: it must find the nodes awake
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
