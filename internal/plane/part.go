package plane

import (
	"context"
	"errors"
	"time"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// A node leaves in this order, while it is still in all tables and frames of both directions find
// their way. [Plane.CloseIncoming] ends the incoming streams. [Plane.StopSending] stops sending. A last Flush
// waits for what handlers have sent meanwhile. [Plane.CloseOutgoing] closes the outgoing streams. Then
// the peers are told to remove the node from their tables, and [Plane.Drain] relays until they
// have.

// ErrSendingStopped means that the node is about to leave and sends nothing more.
var ErrSendingStopped = errors.New("it has left, or is about to")

// CloseIncoming ends every incoming stream in good order. From now on nothing new is taken in, and
// requests for streams are refused. What was taken in is handled. Then each source is told how
// far that came, and confirms it; until the plane closes it is told again whenever it asks.
//
// CloseIncoming waits until handlers are done, no longer than ctx, and then until the sources have
// confirmed, no longer than patience: a source that is dead or cannot be reached confirms nothing.
//
// A stream from the node to itself goes on: its handlers may still send to it.
func (p *Plane) CloseIncoming(ctx context.Context, patience time.Duration) error {
	p.cutAll()
	if err := p.awaitChange(ctx, p.allCut); err != nil {
		return err
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pace := (backoff.Backoff{Min: stream.MinRTO, Max: stream.MaxRTO}); ; {
		look, done := context.WithTimeout(patient, pace.Next())
		err := p.awaitChange(look, p.allConfirmed)
		again := look.Err() != nil && patient.Err() == nil
		done()
		switch {
		case again:
			p.sendFarewells()
		case ctx.Err() == nil && patient.Err() != nil:
			return nil
		default:
			return err
		}
	}
}

// cutAll cuts every stream from another node, and prevents new ones.
func (p *Plane) cutAll() {
	p.mu.Lock()
	p.incomingCut.Store(true)
	p.mu.Unlock()
	for _, in := range p.incomingStreams() {
		if in.source != p.Self {
			p.cut(in)
		}
	}
}

// cut makes a stream take in nothing more. It sends a farewell if nothing is left to handle.
func (p *Plane) cut(in *inbound) {
	in.mu.Lock()
	if in.forgotten {
		in.mu.Unlock()
		return
	}
	before := in.r.Bytes()
	in.r.Cut()
	p.charge(in.service, in.r.Bytes()-before)
	var out []byte
	if in.r.Drained() && !in.finished {
		out = in.r.AppendFarewell(nil)
	}
	in.mu.Unlock()
	p.emit(in.source, out)
}

// allCut reports whether handlers are done with everything that was taken in before the cut.
func (p *Plane) allCut() bool {
	return !p.anyIncoming(func(in *inbound) bool { return !in.r.Drained() })
}

// allConfirmed reports whether every source knows how far its messages came, or has died or left.
// A source that has left waits for no farewell and may not be there to confirm it.
func (p *Plane) allConfirmed() bool {
	return !p.anyIncoming(func(in *inbound) bool { return !in.finished && !in.sourceLeft })
}

// anyIncoming reports whether f returns true for a stream from another node. It calls f with the
// stream's lock held.
func (p *Plane) anyIncoming(f func(*inbound) bool) bool {
	for _, in := range p.incomingStreams() {
		if in.source == p.Self {
			continue
		}
		in.mu.Lock()
		yes := !in.forgotten && f(in)
		in.mu.Unlock()
		if yes {
			return true
		}
	}
	return false
}

// sendFarewells sends a farewell again to every source that has not confirmed it.
func (p *Plane) sendFarewells() {
	var out []byte
	for _, in := range p.incomingStreams() {
		in.mu.Lock()
		if say := !in.forgotten && !in.finished && in.r.Drained(); !say {
			in.mu.Unlock()
			continue
		}
		out = in.r.AppendFarewell(out[:0])
		in.mu.Unlock()
		p.emit(in.source, out)
	}
}

// refuseOpen answers an Open while the node leaves. in is the stream from that source, locked, or
// nil.
func (l *inLink) refuseOpen(in *inbound, f wire.Frame, b wire.OpenBody) {
	p := l.p
	later := 1
	if in != nil {
		defer in.mu.Unlock()
		later = in.r.CompareOpen(b.Incarnation, f.Seq())
	}
	switch {
	case later < 0:
		p.countStaleOpen(in.r, b)
		return
	case later == 0: // the first answer may have been lost: the farewell ends the stream once it is open
		l.replies = in.r.AppendOpened(l.replies, 0)
		if in.r.Drained() {
			l.replies = in.r.AppendFarewell(l.replies)
		}
		return
	case in != nil: // the source has ended the earlier stream
		p.finishInbound(in)
	}
	l.answer(wire.Refuse, f, wire.RefuseBody{SourceIncarnation: b.Incarnation, Reason: wire.RefuseLeaving}.Append(nil))
}

// finishInbound notes that the source expects nothing more on a stream. The stream is forgotten
// now, or when its handler is done. It needs in.mu.
func (p *Plane) finishInbound(in *inbound) {
	in.finished = true
	if !in.scheduled {
		p.forgetInbound(in)
	} else if p.incomingCut.Load() {
		p.changes.Broadcast()
	}
}

// handleFarewell handles the farewell of a sink that leaves and confirms it, even if the stream
// has ended here before.
func (l *inLink) handleFarewell(f wire.Frame) {
	o := l.p.findOutbound(f.Src(), f.Port())
	if o == nil || o.handleFarewell(f.Seq()) {
		l.answer(wire.Close, f, nil)
	} else {
		l.p.countStaleAnswer(f)
	}
}

// handleFarewell reports whether the stream has ended.
func (o *outbound) handleFarewell(cut uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.s.State() == stream.Ended {
		return true
	}
	if !o.s.Farewell(o.p.now(), cut) {
		return false
	}
	if took := o.s.DeliveryTime(); took > 0 {
		o.p.counters.latency.add(took)
	}
	o.p.members.Left(o.sink, o.s.PeerIncarnation())
	o.ended()
	return true
}

// StopSending stops sending on streams: Send fails with [ErrSendingStopped]. A Flush after it waits for the last
// messages that there will be.
func (p *Plane) StopSending() {
	p.sendingStopped.Store(true)
	for _, o := range p.outgoingStreams() {
		o.mu.Lock()
		o.changed.Broadcast()
		o.mu.Unlock()
	}
	p.bufferSpace.Broadcast()
}

// CloseOutgoing closes the outgoing streams and waits until their sinks have forgotten them, no longer
// than ctx and patience. It leaves streams alone that have anything pending.
func (p *Plane) CloseOutgoing(ctx context.Context, patience time.Duration) error {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all := p.outgoingStreams()
	for _, o := range all {
		o.mu.Lock()
		o.transmit(o.s.Close(p.now(), o.scratch[:0]))
		o.mu.Unlock()
	}
	for _, o := range all {
		if err := o.awaitClosed(patient); err != nil && patient.Err() == nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// awaitClosed waits for the end of a stream that is closing.
func (o *outbound) awaitClosed(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.s.State() == stream.Closing {
		changed := o.changed.Next()
		o.mu.Unlock()
		err := o.p.await(ctx, changed, nil)
		o.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}
