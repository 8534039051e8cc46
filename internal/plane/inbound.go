package plane

import (
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// Bounds of the window that a sink grants to one source. Between them it divides
// its receive buffer among its sources. A single source needs a large one: with a
// quarter of a megabyte, a relay and few processors it waited a third of its time.
const (
	minWindow = 2 << 10
	maxWindow = stream.MaxWindow
)

// inbound is the sink's half of a stream.
type inbound struct {
	source uint64

	mu        sync.Mutex
	r         *stream.Receiver
	scheduled bool // a handler has it, or it waits for one
	gone      bool // not in Plane.in any more
	over      bool // the source's life is; forget the stream when its messages are handled
	left      bool // the source has; it is in Plane.bygone
	silent    int  // looks for idle streams since anything of the stream came

	asked atomic.Bool // the source wants to know how far the handler is

	// owned by the goroutine that handles it
	slot    any
	quarter int // of the window
	until   int // messages until the source wants to hear, 0 for no such number
	unsaid  int // bytes handled since the last acknowledgement
	ack     []byte

	turn turn
}

// lockInbound finds the stream from a source and locks it; nil if there is none.
func (p *Plane) lockInbound(source uint64) *inbound {
	p.mu.RLock()
	in := p.in[source]
	p.mu.RUnlock()
	if in == nil {
		return nil
	}
	in.mu.Lock()
	if in.gone { // forgotten in between
		in.mu.Unlock()
		return nil
	}
	return in
}

// forgetInbound drops a stream that is complete or dead; it needs in.mu.
func (p *Plane) forgetInbound(in *inbound) {
	in.gone = true
	p.mu.Lock()
	delete(p.in, in.source)
	delete(p.bygone, in)
	p.counted()
	p.mu.Unlock()
	if p.parting.Load() {
		p.changes.broadcast()
	}
}

// maxSilence is after how many looks for idle streams a sink forgets one from which
// nothing has come. A source that lives ends its idle streams long before, and one
// that waits for an answer asks every few seconds.
const maxSilence = 5

// sweepInbound gives up what is held for a source that went silent, and in the end
// the stream.
func (p *Plane) sweepInbound(in *inbound, closeIdle bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	before := in.r.Bytes()
	in.r.Trim()
	p.inbox.Add(int64(in.r.Bytes() - before))
	if (closeIdle || in.left) && !in.gone {
		in.silent++
		if (in.left || in.silent > maxSilence) && in.silent > 1 && in.idle() {
			p.forgetInbound(in)
		}
	}
}

// idle says that no message of the stream waits for anything; it needs in.mu.
func (in *inbound) idle() bool { return !in.scheduled && in.r.Bytes() == 0 }

// window is what the sink can grant to one source now.
func (p *Plane) window() int {
	share := p.ReceiveBuffer / max(1, int(p.streams.Load()))
	return min(max(share, minWindow), maxWindow)
}

func (rc *reception) open(f wire.Frame) {
	p := rc.p
	b, err := wire.ParseOpen(f.Body())
	if err != nil {
		p.counters.malformed.Add(1)
		return
	}
	in := rc.opening(f, b)
	if p.parting.Load() && f.Src() != p.Self {
		rc.refuseOpen(in, f, b)
		return
	}
	if in == nil {
		p.counters.refused.Add(1)
		rc.answer(wire.Refuse, f, wire.RefuseBody{SourceIncarnation: b.Incarnation, Reason: wire.RefuseStreams}.Append(nil))
		return
	}
	before, life := in.r.Bytes(), in.r.PeerLife()
	if in.r.Open(b.Incarnation, f.Seq(), first()) {
		in.silent = 0
		if in.r.PeerLife() != life {
			in.over = false
			p.stays(in)
		}
		rc.reply = in.r.AppendOpened(rc.reply, p.window())
	} else {
		p.counters.stale.Add(1)
		rc.reply = in.r.AppendOlder(rc.reply, b.Incarnation, f.Seq())
	}
	if p.Met != nil {
		p.Met(in.r.PeerLife())
	}
	rc.accepted += in.r.Bytes() - before
	in.mu.Unlock()
}

// opening finds or makes the stream that a source asks for, and locks it. It is
// nil when there are too many, or when the node leaves.
func (rc *reception) opening(f wire.Frame, b wire.OpenBody) *inbound {
	p := rc.p
	for {
		if in := p.lockInbound(f.Src()); in != nil {
			return in
		}
		p.mu.Lock()
		if p.in[f.Src()] == nil {
			if p.parting.Load() && f.Src() != p.Self {
				p.mu.Unlock()
				return nil
			}
			if len(p.in) >= p.Streams {
				bygone := p.someBygone()
				p.mu.Unlock()
				if !p.makeRoom(bygone) {
					return nil
				}
				continue
			}
			in := &inbound{source: f.Src(), r: stream.NewReceiver(p.Self, p.Life, f.Src(), b.Incarnation, f.Seq(), first())}
			in.r.OnDrop(p.dropHeld)
			in.turn.in = in
			p.in[f.Src()] = in
			if p.Over != nil && p.Over(f.Src(), b.Incarnation) { // it comes late
				in.left = true
				p.bygone[in] = struct{}{}
			}
			p.counted()
		}
		p.mu.Unlock()
	}
}

// takeGroups takes in what the batch has for this node's half of streams, source by
// source, each source's frames in their order.
func (rc *reception) takeGroups(batch []byte) {
	for i := range rc.groups {
		g := &rc.groups[i]
		in := rc.p.lockInbound(g.source)
		for r := g.head; r >= 0; r = rc.runs[r].next {
			in = rc.take(in, batch[rc.runs[r].from:rc.runs[r].to])
		}
		if in != nil {
			in.mu.Unlock()
		}
	}
	rc.clearGroups()
}

// take takes in a source's frames. The stream, if there is one, is locked when it is
// given and when it is returned.
func (rc *reception) take(in *inbound, frames []byte) *inbound {
	for len(frames) > 0 {
		if in != nil {
			n := in.r.DataBatch(frames, rc.room())
			if n > 0 {
				rc.accepted += n
				rc.arrived(in)
				frames = frames[n:]
				continue
			}
		}
		var f wire.Frame
		f, frames = wire.Next(frames)
		switch t := f.Type(); {
		case t == wire.Data && in != nil:
			rc.data(in, f)
			continue
		case t == wire.Data:
			rc.unknown(f)
			continue
		}
		if in != nil { // rare ones, which may make or forget the stream
			in.mu.Unlock()
		}
		switch f.Type() {
		case wire.Sync:
			rc.sync(f)
		case wire.Open:
			rc.open(f)
		case wire.Close:
			rc.close(f)
		}
		in = rc.p.lockInbound(f.Src())
	}
	return in
}

// room is what the inboxes still take.
func (rc *reception) room() int {
	return rc.p.ReceiveBuffer - int(rc.p.inbox.Load()) - rc.accepted
}

// arrived notes that a stream got something for the handler; it needs in.mu.
func (rc *reception) arrived(in *inbound) {
	in.silent = 0
	if !in.scheduled {
		in.scheduled = true
		rc.ready = append(rc.ready, &in.turn)
	}
}

// data takes a message that is not simply the next; it needs in.mu.
func (rc *reception) data(in *inbound, f wire.Frame) {
	p := rc.p
	before := in.r.Bytes()
	v, hole := in.r.Data(f, rc.room())
	rc.accepted += in.r.Bytes() - before // less than before if it gave up what it held
	if v != stream.Stale {
		in.silent = 0
	}
	switch v {
	case stream.Duplicate, stream.Stale, stream.Full, stream.Beyond:
		p.wasteAt(f)
	}
	switch v {
	case stream.Accepted:
		rc.arrived(in)
	case stream.Held:
		if hole {
			rc.reply = in.r.AppendAck(rc.reply, p.window())
		}
	case stream.Duplicate:
		p.counters.duplicates.Add(1)
	case stream.Stale:
		p.counters.stale.Add(1)
	case stream.Full:
		p.counters.inboxFull.Add(1)
	case stream.Beyond:
		if in.r.Parted() && rc.bid != in.source { // once per batch
			rc.bid = in.source
			rc.reply = in.r.AppendFarewell(rc.reply)
		}
	}
}

func (rc *reception) sync(f wire.Frame) {
	p := rc.p
	round, err := wire.ParseRound(f.Body())
	if err != nil {
		p.counters.malformed.Add(1)
		return
	}
	in := p.lockInbound(f.Src())
	if in == nil {
		rc.unknown(f)
		return
	}
	stale := in.r.Sync(f.Seq(), round) == stream.Stale
	switch {
	case stale:
	case in.r.Parted():
		rc.reply = in.r.AppendFarewell(rc.reply)
	default:
		rc.reply = in.r.AppendAck(rc.reply, p.window())
		in.asked.Store(true)
		in.silent = 0
	}
	in.mu.Unlock()
	if stale {
		rc.unknown(f)
	}
}

// close forgets a stream that is complete. A repeated request finds none, and is
// answered all the same, since the first answer may have been lost.
func (rc *reception) close(f wire.Frame) {
	p := rc.p
	if in := p.lockInbound(f.Src()); in != nil {
		defer in.mu.Unlock()
		switch {
		case in.r.OutsideWindow(f.Seq()):
			p.counters.stale.Add(1)
		case in.r.Parted() && in.r.Close(f.Seq()): // it has heard the farewell
			p.inboundOver(in)
		case in.scheduled || !in.r.Close(f.Seq()):
			rc.reply = in.r.AppendAck(rc.reply, p.window())
			return
		default:
			p.forgetInbound(in)
		}
	}
	rc.answer(wire.Closed, f, nil)
}

// unknown answers a frame of a stream that this node has no memory of, once per
// batch and source.
func (rc *reception) unknown(f wire.Frame) {
	rc.p.counters.stale.Add(1)
	rc.p.wasteAt(f)
	if rc.reset != f.Src() {
		rc.reset = f.Src()
		rc.answer(wire.Reset, f, nil)
	}
}
