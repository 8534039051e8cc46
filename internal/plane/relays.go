package plane

import (
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/wire"
)

// relays counts frames by traffic run. Each run has its own port, which is used again 128 runs
// later. The counters by port take 1 KiB and are made for the first frame of a run.
type relays struct {
	others atomic.Int64                                     // of no run
	runs   atomic.Pointer[[256 - firstTraffic]atomic.Int64] // by port

	mu   sync.Mutex // guards what follows
	past int64      // taken out of runs
}

// add counts n frames. It takes no lock, since readers call it once a batch.
func (r *relays) add(port uint8, n int64) {
	if port < firstTraffic {
		r.others.Add(n)
		return
	}
	runs := r.runs.Load()
	for runs == nil {
		r.runs.CompareAndSwap(nil, new([256 - firstTraffic]atomic.Int64))
		runs = r.runs.Load()
	}
	runs[port-firstTraffic].Add(n)
}

// takeRun returns the count for a run's port and resets it.
func (r *relays) takeRun(port uint8) int64 {
	runs := r.runs.Load()
	if runs == nil || port < firstTraffic {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := runs[port-firstTraffic].Swap(0)
	r.past += n
	return n
}

// ofRun returns the count for a run's port.
func (r *relays) ofRun(port uint8) int64 {
	runs := r.runs.Load()
	if runs == nil || port < firstTraffic {
		return 0
	}
	return runs[port-firstTraffic].Load()
}

// total is the count of all frames since the start. It never goes back.
func (r *relays) total() int64 {
	r.mu.Lock() // so that what moves from runs to past is not missed
	defer r.mu.Unlock()
	sum := r.others.Load() + r.past
	if runs := r.runs.Load(); runs != nil {
		for i := range runs {
			sum += runs[i].Load()
		}
	}
	return sum
}

// TakeRelays returns how many messages of a run this node has relayed, by the run's port, and
// resets the port. wasted is how often the frames of the run that ended here had been relayed,
// here and elsewhere: dropped frames, and copies of messages that had been received. So on a ring
// whose connections all held, relayed less wasted is the work of relays for the delivered
// messages.
func (p *Plane) TakeRelays(port uint8) (relayed, wasted int64) {
	return p.counters.relayed.takeRun(port), p.counters.wasted.takeRun(port)
}

// Relays is [Plane.TakeRelays] that resets nothing.
func (p *Plane) Relays(port uint8) (relayed, wasted int64) {
	return p.counters.relayed.ofRun(port), p.counters.wasted.ofRun(port)
}

// ForgetRelays resets the port of every run but this one.
func (p *Plane) ForgetRelays(but uint8) {
	for port := firstTraffic; port <= 0xff; port++ {
		if uint8(port) != but {
			p.TakeRelays(uint8(port))
		}
	}
}

// runOf returns the port of the run for which a relayed frame counts; 0 for none. Runs do not
// cast.
func runOf(f wire.Frame) uint8 {
	if f.Type() == wire.Cast {
		return 0
	}
	return f.Port()
}

// setRunPort sets the run for which the next relayed messages count.
func (l *inLink) setRunPort(port uint8) {
	if port != l.runPort {
		l.countRelays()
		l.runPort = port
	}
}

// countRelays adds the batch's count to the plane's counters.
func (l *inLink) countRelays() {
	if l.relayed > 0 {
		l.p.counters.relayed.add(l.runPort, l.relayed)
		l.relayed = 0
	}
}

// countWaste notes that a frame that was relayed so many times is dropped. Only a delivered
// message is worth its relays.
func (p *Plane) countWaste(f wire.Frame, relays int) {
	if f.Type() == wire.Data && f.Port() >= firstTraffic && relays > 0 {
		p.counters.wasted.add(f.Port(), int64(relays*f.Messages()))
	}
}

// countWasteHere is countWaste of a frame that ends at this node, which has not relayed it.
func (p *Plane) countWasteHere(f wire.Frame) { p.countWaste(f, int(f.Hops())-1) }

// countWasteAll is countWaste of frames that this node has counted as relayed.
func (p *Plane) countWasteAll(frames []byte) {
	for len(frames) > 0 {
		var f wire.Frame
		f, frames = wire.Next(frames)
		p.countWaste(f, int(f.Hops()))
	}
}
