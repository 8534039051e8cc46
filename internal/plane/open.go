package plane

import (
	"context"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/internal/workers"
)

// handleOpen handles the request for a stream. The source names the service, and says by which port it
// means it from now on.
func (l *inLink) handleOpen(f wire.Frame) {
	p := l.p
	port := wire.StreamPort(f.Port())
	b, err := wire.ParseOpen(port, f.Body())
	if err != nil || !p.plausible(f, b) {
		p.counters.malformed.Add(1)
		return
	}
	s := p.handledService(b.Service)
	if s == nil {
		l.refuseService(f, b)
		return
	}
	if p.trialsFull(f, b, s) {
		p.counters.refused.Add(1)
		return
	}
	in, later, late := l.findOrMakeInbound(f, b, s)
	switch {
	case late:
		return
	case later > 0:
		l.refuseOlder(f, b, later)
		return
	case p.incomingCut.Load() && f.Src() != p.Self:
		l.refuseOpen(in, f, b)
		return
	case in == nil:
		p.counters.refused.Add(1)
		l.answer(wire.Refuse, f, wire.RefuseBody{SourceIncarnation: b.Incarnation, Reason: wire.RefuseStreams}.Append(nil))
		return
	}
	before, inc := in.r.Bytes(), in.r.PeerIncarnation()
	if in.r.Open(b.Incarnation, f.Seq(), firstNumber()) {
		in.idleSweeps, in.trialSweeps = 0, 0
		if in.r.PeerIncarnation() != inc {
			in.finished = false
			p.stays(in)
		}
		p.members.Here(f.Src(), in.r.PeerIncarnation())
		if p.bind(in, port) { // else a repeated Open tells which one is later
			l.replies = in.r.AppendOpened(l.replies, p.firstWindow(in))
		}
	} else {
		p.countStaleOpen(in.r, b)
		l.replies = in.r.AppendOlder(l.replies, port, b.Incarnation, f.Seq())
	}
	if p.OnIncarnation != nil {
		p.OnIncarnation(in.r.PeerIncarnation())
	}
	l.accept(s, in.r.Bytes()-before)
	in.mu.Unlock()
}

// bind binds a stream to a port of its source, and notes the source's incarnation. It returns false if
// another stream has got the port meanwhile, by another connection. It needs in.mu.
func (p *Plane) bind(in *inbound, port uint8) bool {
	inc := in.r.PeerIncarnation()
	if in.port == port && in.incarnation == inc {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for x := p.inbounds.byNode[in.source]; port != noPort && x != nil; x = x.sibling {
		if x != in && x.port == port {
			return false
		}
	}
	in.port, in.incarnation = port, inc
	in.r.SetPort(port)
	return true
}

// refuseOlder tells the source of an Open that a later incarnation of it is known.
func (l *inLink) refuseOlder(f wire.Frame, b wire.OpenBody, later uint64) {
	l.p.counters.stale.Add(1)
	l.answer(wire.Refuse, f, wire.RefuseBody{SourceIncarnation: b.Incarnation, Reason: wire.RefuseOlder, Remembered: later}.Append(nil))
}

// findOrMakeInbound finds or makes the stream of a service for an Open and locks it. It returns nil if
// there are too many streams, or if the node leaves. later is a later incarnation of the source that
// has a stream of any service, or 0. late means that the Open came late, and needs no answer.
func (l *inLink) findOrMakeInbound(f wire.Frame, b wire.OpenBody, s *service) (_ *inbound, later uint64, late bool) {
	p, port := l.p, wire.StreamPort(f.Port())
	for {
		later = 0
		p.mu.Lock()
		var in, other *inbound // of the service, and of another one with this port
		for x := p.inbounds.byNode[f.Src()]; x != nil; x = x.sibling {
			later = max(later, x.incarnation)
			switch {
			case x.service == s:
				in = x
			case x.port == port:
				other = x
			}
		}
		switch {
		case later > b.Incarnation:
			p.mu.Unlock()
			return nil, later, false
		case other != nil:
			p.mu.Unlock()
			if !p.unbind(other, f, b) {
				return nil, 0, true
			}
		case in != nil:
			p.mu.Unlock()
			in.mu.Lock()
			if !in.forgotten {
				return in, 0, false
			}
			in.mu.Unlock()
		case p.incomingCut.Load() && f.Src() != p.Self:
			p.mu.Unlock()
			return nil, 0, false
		case p.inbounds.n >= p.Streams:
			bygone := p.someBygone()
			p.mu.Unlock()
			if !p.makeRoom(bygone) {
				return nil, 0, false
			}
		default:
			p.makeInbound(f, b, s)
			p.mu.Unlock()
		}
	}
}

// makeInbound makes the stream for an Open. It needs Plane.mu.
func (p *Plane) makeInbound(f wire.Frame, b wire.OpenBody, s *service) {
	in := &inbound{
		source: f.Src(), service: s, port: wire.StreamPort(f.Port()), incarnation: b.Incarnation,
		r: stream.NewReceiver(p.Self, p.Incarnation, f.Src(), b.Incarnation, f.Seq(), firstNumber()),
	}
	in.r.SetPort(in.port)
	in.r.OnDrop(p.dropHeld)
	in.turn.Group = &s.group
	in.turn.Run = func(ctx context.Context) workers.Span { return p.handle(ctx, s, in) }
	p.beginTrial(in)
	p.inbounds.add(in)
	if p.HasEnded != nil && p.HasEnded(f.Src(), b.Incarnation) { // the Open came late
		in.sourceLeft = true
		p.bygone[in] = struct{}{}
	}
}

// unbind takes its port from a stream, for a later one with which the source means another service by
// it: the source has ended this one. It returns false if the Open is not later.
func (p *Plane) unbind(in *inbound, f wire.Frame, b wire.OpenBody) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.forgotten || in.port != wire.StreamPort(f.Port()) {
		return true
	}
	if in.r.CompareOpen(b.Incarnation, f.Seq()) <= 0 {
		p.countStaleOpen(in.r, b)
		return false
	}
	p.bind(in, noPort)
	p.evictInbound(in, in.r.PeerIncarnation())
	return true
}
