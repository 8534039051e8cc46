package plane

import (
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// countStale counts a dropped frame of a stream to this node, unless it is a late one.
func (p *Plane) countStale(f wire.Frame) {
	if !p.endedIn.Has(f.Src(), f.Seq()) {
		p.counters.stale.Add(int64(f.Messages()))
	}
}

// countStaleOpen counts an Open that is older than the present stream, unless it is a repeat that
// the same incarnation has sent before.
func (p *Plane) countStaleOpen(r *stream.Receiver, b wire.OpenBody) {
	if b.Incarnation != r.PeerIncarnation() {
		p.counters.stale.Add(1)
	}
}

// countStaleAnswer counts a dropped answer, unless it is a late one.
func (p *Plane) countStaleAnswer(f wire.Frame) {
	switch f.Type() {
	case wire.Opened: // its number is a generation
		if b, err := wire.ParseOpened(f.Body()); err == nil && b.SourceIncarnation == p.Incarnation {
			return // the answer to a repeated question of this incarnation
		}
	case wire.Refuse:
	default:
		if p.endedOut.Has(f.Src(), f.Seq()) {
			return
		}
	}
	p.counters.stale.Add(1)
}
