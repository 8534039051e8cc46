package plane

import "github.com/x/ringdht/internal/wire"

// neverAsked reports whether a sink has opened a stream for which this node cannot have asked yet.
// Another node has asked in its name, and the sink takes nothing from this node's streams while it
// remembers that one.
func (p *Plane) neverAsked(f wire.Frame) bool {
	b, err := wire.ParseOpened(f.Body())
	p.mu.RLock()
	defer p.mu.RUnlock()
	return err == nil && (b.SourceIncarnation > p.Incarnation || b.SourceIncarnation == p.Incarnation && f.Seq() > p.generation)
}

// strayAnswer handles an answer to a stream that this node does not have. A sink that opened a
// stream for an earlier incarnation's request is told to forget it. The Close matches because the
// sink has numbered nothing yet.
func (p *Plane) strayAnswer(l *inLink, f wire.Frame) {
	p.countStaleAnswer(f)
	if f.Type() == wire.Opened {
		l.denyOpened(f)
	}
}

// denyOpened tells a sink to forget a stream that it has opened and this node does not have.
func (l *inLink) denyOpened(f wire.Frame) {
	if b, err := wire.ParseOpened(f.Body()); err == nil {
		l.replies = wire.Append(l.replies, wire.Header{Type: wire.Close, Port: f.Port(), Dst: f.Src(), Src: l.p.Self, Seq: b.First}, nil)
	}
}
