package plane

import (
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/wire"
)

// firstRun is the lowest port of traffic runs. Each run has its own, used again 128 runs
// later.
const firstRun = 128

// relays counts frames by the run that they are of. A plane that has to do with no run
// has no counters for them: they take 1 KiB.
type relays struct {
	others atomic.Int64                                 // of no run
	runs   atomic.Pointer[[256 - firstRun]atomic.Int64] // by port

	mu   sync.Mutex // guards what follows
	past int64      // taken out of runs
}

// add counts n frames. It takes no lock, since readers call it once a batch.
func (r *relays) add(port uint8, n int64) {
	if port < firstRun {
		r.others.Add(n)
		return
	}
	runs := r.runs.Load()
	for runs == nil {
		r.runs.CompareAndSwap(nil, new([256 - firstRun]atomic.Int64))
		runs = r.runs.Load()
	}
	runs[port-firstRun].Add(n)
}

// take returns what was counted for a run's port, and starts that port from zero.
func (r *relays) takeRun(port uint8) int64 {
	runs := r.runs.Load()
	if runs == nil || port < firstRun {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := runs[port-firstRun].Swap(0)
	r.past += n
	return n
}

// total is all that was ever counted. It never goes back.
func (r *relays) total() int64 {
	r.mu.Lock() // what moves from runs to past must not be missed
	defer r.mu.Unlock()
	sum := r.others.Load() + r.past
	if runs := r.runs.Load(); runs != nil {
		for i := range runs {
			sum += runs[i].Load()
		}
	}
	return sum
}

// TakeRelays returns how many messages of a run this node has passed on, by the run's
// port, and starts that port from zero. wasted is how often the frames of the run that
// ended here had been passed on, here and by others: those that were dropped, and copies
// of what was received already. So over a ring in which no connection broke, relayed less
// wasted is what relays did for the messages that were handed over.
func (p *Plane) TakeRelays(port uint8) (relayed, wasted int64) {
	return p.counters.relayed.takeRun(port), p.counters.wasted.takeRun(port)
}

// ForgetRelays starts every run's port from zero but this one.
func (p *Plane) ForgetRelays(but uint8) {
	for port := firstRun; port <= 0xff; port++ {
		if uint8(port) != but {
			p.TakeRelays(uint8(port))
		}
	}
}

// runOf is the port of a run whose relays a frame counts among, 0 for none: runs cast
// nothing.
func runOf(f wire.Frame) uint8 {
	if f.Type() == wire.Cast {
		return 0
	}
	return f.Port()
}

// onRun says that the next messages passed on are of a run.
func (rc *inLink) setRunPort(port uint8) {
	if port != rc.runPort {
		rc.countRelays()
		rc.runPort = port
	}
}

// countRelays adds what the batch has brought to the plane's counters.
func (rc *inLink) countRelays() {
	if rc.relayed > 0 {
		rc.p.counters.relayed.add(rc.runPort, rc.relayed)
		rc.relayed = 0
	}
}

// waste notes that a frame goes no further and was passed on so many times. Only what is
// handed over is worth its relays.
func (p *Plane) countWaste(f wire.Frame, relays int) {
	if f.Type() == wire.Data && f.Port() >= firstRun && relays > 0 {
		p.counters.wasted.add(f.Port(), int64(relays))
	}
}

// wasteAt is [Plane.waste] of a frame that ends at this node, which has not passed it on.
func (p *Plane) countWasteHere(f wire.Frame) { p.countWaste(f, int(f.Hops())-1) }

// wasteAll is [Plane.waste] of frames that this node has counted as passed on.
func (p *Plane) countWasteAll(frames []byte) {
	for len(frames) > 0 {
		var f wire.Frame
		f, frames = wire.Next(frames)
		p.countWaste(f, int(f.Hops()))
	}
}
