package plane

import (
	"github.com/x/ringdht/internal/runcount"
	"github.com/x/ringdht/internal/wire"
)

// firstTraffic is the lowest port of traffic runs. Ports below it are the handlers'.
const firstTraffic = runcount.First

// TakeRelays returns how many messages of a run this node has relayed, by the run's port, and
// resets the port. wasted is how often the frames of the run that ended here had been relayed,
// here and elsewhere: dropped frames, and copies of messages that had been received. So on a ring
// whose connections all held, relayed less wasted is the work of relays for the delivered
// messages.
func (p *Plane) TakeRelays(port uint8) (relayed, wasted int64) {
	return p.counters.relayed.Take(port), p.counters.wasted.Take(port)
}

// Relays is [Plane.TakeRelays] that resets nothing.
func (p *Plane) Relays(port uint8) (relayed, wasted int64) {
	return p.counters.relayed.Of(port), p.counters.wasted.Of(port)
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
		l.p.counters.relayed.Add(l.runPort, l.relayed)
		l.relayed = 0
	}
}

// countWaste notes that a frame that was relayed so many times is dropped. Only a delivered
// message is worth its relays.
func (p *Plane) countWaste(f wire.Frame, relays int) {
	if f.Type() == wire.Data && f.Port() >= firstTraffic && relays > 0 {
		p.counters.wasted.Add(f.Port(), int64(relays*f.Messages()))
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
