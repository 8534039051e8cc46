package plane

import (
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/internal/workers"
)

// Bounds of the window that a sink grants to one source. Between them it divides its receive
// buffer among its sources. A single source needs a large window: with 256 KiB, a relay and few
// processors it waited a third of its time.
const (
	minWindow = 2 << 10
	maxWindow = stream.MaxWindow
)

// inbound is the sink's half of a stream. There is one for each source and service, so the messages of
// one incarnation follow those of the one before, also if it has another port for the service.
type inbound struct {
	source  uint64
	service *service

	// guarded by mu and Plane.mu: to change them takes both
	port        uint8    // of the source; noPort if it has given it to another service
	incarnation uint64   // of the source
	sibling     *inbound // another one of this source; guarded by Plane.mu alone

	mu         sync.Mutex
	r          *stream.Receiver
	scheduled  bool // a handler has it, or it waits for one
	forgotten  bool // not in Plane.inbounds any more
	finished   bool // the source expects nothing more; forget the stream once its messages are handled
	sourceLeft bool // the source has left the ring; the stream is in Plane.bygone
	idleSweeps int  // sweeps for idle streams since the last frame of the stream
	trial           // see trial.go

	askedProgress atomic.Bool // the source wants to know how far the handler is

	// owned by the goroutine that handles it
	slot                any
	quarterWindow       int // of the window
	untilAsked          int // messages until the source wants an acknowledgement; 0: none in particular
	unacknowledgedBytes int // bytes handled since the last acknowledgement
	ack                 []byte

	turn workers.Turn
}

func (in *inbound) peer() uint64    { return in.source }
func (in *inbound) next() **inbound { return &in.sibling }

// lockInbound finds the stream from a source with a port and locks it. It returns nil if there is
// none.
func (p *Plane) lockInbound(source uint64, port uint8) *inbound {
	p.mu.RLock()
	in := p.inbounds.byNode[source]
	for in != nil && in.port != port {
		in = in.sibling
	}
	p.mu.RUnlock()
	if in == nil {
		return nil
	}
	in.mu.Lock()
	if in.forgotten || in.port != port { // since it was found
		in.mu.Unlock()
		return nil
	}
	return in
}

// forgetInbound drops a stream that is complete or dead. It needs in.mu.
func (p *Plane) forgetInbound(in *inbound) {
	in.forgotten = true
	p.mu.Lock()
	p.inbounds.remove(in)
	delete(p.bygone, in)
	p.mu.Unlock()
	p.endTrial(in)
	p.updateShare(in)
	if p.incomingCut.Load() {
		p.changes.Broadcast()
	}
}

// maxSilence is the number of sweeps for idle streams after which a sink forgets a silent one. A
// live source closes its idle streams long before. A source that waits for an answer asks every
// few seconds.
const maxSilence = 5

// sweepInbound gives up what is held for a silent source, and in the end the stream.
func (p *Plane) sweepInbound(in *inbound, closeIdle bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	before := in.r.Bytes()
	in.r.Trim()
	p.charge(in.service, in.r.Bytes()-before)
	if p.trialIsOver(in) {
		p.forgetInbound(in)
	}
	if (closeIdle || in.sourceLeft) && !in.forgotten {
		in.idleSweeps++
		if (in.sourceLeft || in.idleSweeps > maxSilence) && in.idleSweeps > 1 && in.idle() {
			p.forgetInbound(in)
		}
	}
}

// idle reports whether no message of the stream waits for anything. It needs in.mu.
func (in *inbound) idle() bool { return !in.scheduled && in.r.Bytes() == 0 }

// receiveSources takes in the batch's frames of streams to this node, stream by stream, each
// stream's in their order.
func (l *inLink) receiveSources(batch []byte) {
	for i := range l.demux.Sources() {
		source, port, spans := l.demux.Source(i)
		in := l.p.lockInbound(source, port)
		for _, s := range spans {
			in = l.receiveFrames(in, batch[s.From:s.To])
		}
		if in != nil {
			in.mu.Unlock()
		}
	}
	l.demux.ClearSources()
}

// receiveFrames takes in frames of one source and port. in is their stream, or nil. It is locked before and
// after the call; the stream that is returned may be another one.
func (l *inLink) receiveFrames(in *inbound, frames []byte) *inbound {
	for len(frames) > 0 {
		if in != nil {
			n := in.r.DataBatch(frames, l.room(in.service))
			if n > 0 {
				l.accept(in.service, n)
				l.markReady(in)
				frames = frames[n:]
				continue
			}
		}
		var f wire.Frame
		f, frames = wire.Next(frames)
		switch t := f.Type(); {
		case t == wire.Data && in != nil:
			l.handleData(in, f)
			continue
		case t == wire.Data:
			l.resetUnknown(f)
			continue
		}
		if in != nil { // rare types, which may make or forget the stream
			in.mu.Unlock()
		}
		switch f.Type() {
		case wire.Sync:
			l.handleSync(f)
		case wire.Open:
			l.handleOpen(f)
		case wire.Close:
			l.handleClose(f)
		}
		in = l.p.lockInbound(f.Src(), wire.StreamPort(f.Port()))
	}
	return in
}

// markReady notes that a stream has something for the handler. It needs in.mu.
func (l *inLink) markReady(in *inbound) {
	in.idleSweeps = 0
	if !in.proven {
		l.p.prove(in)
	}
	if !in.scheduled {
		in.scheduled = true
		l.turns.Ready(&in.turn)
	}
}

// handleData takes in a frame that is not simply the next one. It needs in.mu.
func (l *inLink) handleData(in *inbound, f wire.Frame) {
	p := l.p
	before := in.r.Bytes()
	v, hole := in.r.Data(f, l.room(in.service))
	l.accept(in.service, in.r.Bytes()-before) // negative if the stream gave up what it held
	if v != stream.Stale && v != stream.Unsound {
		in.idleSweeps = 0
	}
	switch v {
	case stream.Duplicate, stream.Stale, stream.Full, stream.Beyond, stream.Unsound:
		p.countWasteHere(f)
	}
	switch v {
	case stream.Accepted:
		l.markReady(in)
	case stream.Held:
		if !in.proven {
			p.prove(in)
		}
		if hole {
			l.replies = in.r.AppendAck(l.replies, p.window(in.service))
		}
	case stream.Duplicate:
		p.counters.duplicates.Add(int64(f.Messages()))
	case stream.Stale:
		p.countStale(f)
	case stream.Full:
		p.counters.inboxFull.Add(int64(f.Messages()))
	case stream.Unsound:
		p.counters.malformed.Add(int64(f.Messages()))
	case stream.Beyond:
		if key := (streamKey{in.source, in.port}); in.r.Drained() && l.toldFarewell != key { // once per batch
			l.toldFarewell = key
			l.replies = in.r.AppendFarewell(l.replies)
		}
	}
}

func (l *inLink) handleSync(f wire.Frame) {
	p := l.p
	round, err := wire.ParseRound(f.Body())
	if err != nil {
		p.counters.malformed.Add(1)
		return
	}
	in := p.lockInbound(f.Src(), wire.StreamPort(f.Port()))
	if in == nil {
		l.resetUnknown(f)
		return
	}
	stale := in.r.Sync(f.Seq(), round) == stream.Stale
	switch {
	case stale:
	case in.r.Drained():
		l.replies = in.r.AppendFarewell(l.replies)
	default:
		l.replies = in.r.AppendAck(l.replies, p.window(in.service))
		in.askedProgress.Store(true)
		in.idleSweeps = 0
	}
	in.mu.Unlock()
	if stale {
		l.resetUnknown(f)
	}
}

// handleClose forgets a stream that is complete. A repeated Close finds no stream and is answered
// too, since the first answer may have been lost.
func (l *inLink) handleClose(f wire.Frame) {
	p := l.p
	if in := p.lockInbound(f.Src(), wire.StreamPort(f.Port())); in != nil {
		defer in.mu.Unlock()
		switch {
		case in.r.OutsideWindow(f.Seq()):
			p.countStale(f)
		case in.r.Drained() && in.r.Close(f.Seq()): // the source has received the farewell
			p.endedIn.Add(f.Src(), in.r.First(), f.Seq())
			p.finishInbound(in)
		case in.scheduled || !in.r.Close(f.Seq()):
			l.replies = in.r.AppendAck(l.replies, p.window(in.service))
			return
		default:
			p.endedIn.Add(f.Src(), in.r.First(), f.Seq())
			p.forgetInbound(in)
		}
	}
	l.answer(wire.Closed, f, nil)
}

// resetUnknown answers a frame of a stream that this node does not know, once per batch and
// stream.
func (l *inLink) resetUnknown(f wire.Frame) {
	l.p.countStale(f)
	l.p.countWasteHere(f)
	if key := (streamKey{f.Src(), wire.StreamPort(f.Port())}); l.toldReset != key {
		l.toldReset = key
		l.answer(wire.Reset, f, nil)
	}
}
