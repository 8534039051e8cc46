package plane

import (
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// Bounds of the window that a sink grants to one source. Between them it divides
// its receive buffer among its sources.
const (
	minWindow = 2 << 10
	maxWindow = 256 << 10
)

// inbound is the sink's half of a stream.
type inbound struct {
	source uint64

	mu        sync.Mutex
	r         *stream.Receiver
	scheduled bool // a handler has it, or it waits for one

	asked atomic.Bool // the source wants to know how far the handler is

	// owned by the goroutine that handles it
	slot    any
	quarter int // of the window
	unsaid  int // bytes handled since the last acknowledgement
	ack     []byte

	turn turn
}

func (p *Plane) inboundFrom(source uint64) *inbound {
	p.mu.RLock()
	in := p.in[source]
	p.mu.RUnlock()
	return in
}

// window is what the sink can grant to one source now.
func (p *Plane) window() int {
	share := p.ReceiveBuffer / max(1, int(p.streams.Load()))
	return min(max(share, minWindow), maxWindow, stream.MaxWindow)
}

func (rc *reception) open(f wire.Frame) {
	p := rc.p
	b, err := wire.ParseOpen(f.Body())
	if err != nil {
		p.counters.malformed.Add(1)
		return
	}
	source := f.Src()
	in := p.inboundFrom(source)
	if in == nil {
		p.mu.Lock()
		if in = p.in[source]; in == nil {
			if len(p.in) >= p.Streams {
				p.mu.Unlock()
				rc.answer(wire.Refuse, f, wire.RefuseBody{
					SourceIncarnation: b.Incarnation, Reason: wire.RefuseStreams}.Append(nil))
				return
			}
			in = &inbound{source: source, r: stream.NewReceiver(p.Self, p.Life, source, b.Incarnation, f.Seq(), first())}
			in.turn.in = in
			p.in[source] = in
			p.streams.Store(int64(len(p.in)))
		}
		p.mu.Unlock()
	}
	in.mu.Lock()
	before := in.r.Bytes()
	if in.r.Open(b.Incarnation, f.Seq(), first()) {
		rc.reply = in.r.AppendOpened(rc.reply, p.window())
	} else {
		p.counters.stale.Add(1)
	}
	rc.accepted += in.r.Bytes() - before
	in.mu.Unlock()
}

func (rc *reception) data(f wire.Frame) {
	p := rc.p
	in := p.inboundFrom(f.Src())
	if in == nil {
		rc.unknown(f)
		return
	}
	room := p.ReceiveBuffer - int(p.inbox.Load()) - rc.accepted
	in.mu.Lock()
	before := in.r.Bytes()
	v, hole := in.r.Data(f, room)
	rc.accepted += in.r.Bytes() - before // less than before if it gave up what it held
	switch v {
	case stream.Accepted:
		if !in.scheduled {
			in.scheduled = true
			rc.ready = append(rc.ready, &in.turn)
		}
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
	}
	in.mu.Unlock()
}

func (rc *reception) sync(f wire.Frame) {
	p := rc.p
	round, err := wire.ParseRound(f.Body())
	if err != nil {
		p.counters.malformed.Add(1)
		return
	}
	in := p.inboundFrom(f.Src())
	if in == nil {
		rc.unknown(f)
		return
	}
	in.mu.Lock()
	stale := in.r.Sync(f.Seq(), round) == stream.Stale
	if !stale {
		rc.reply = in.r.AppendAck(rc.reply, p.window())
		in.asked.Store(true)
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
	if in := p.inboundFrom(f.Src()); in != nil {
		in.mu.Lock()
		if in.r.Stranger(f.Seq()) {
			in.mu.Unlock()
			p.counters.stale.Add(1)
			rc.answer(wire.Closed, f, nil)
			return
		}
		if in.scheduled || !in.r.Close(f.Seq()) {
			rc.reply = in.r.AppendAck(rc.reply, p.window())
			in.mu.Unlock()
			return
		}
		in.mu.Unlock()
		p.mu.Lock()
		delete(p.in, f.Src())
		p.streams.Store(int64(len(p.in)))
		p.mu.Unlock()
	}
	rc.answer(wire.Closed, f, nil)
}

// unknown answers a frame of a stream that this node has no memory of, once per
// batch and source.
func (rc *reception) unknown(f wire.Frame) {
	rc.p.counters.stale.Add(1)
	if rc.reset != f.Src() {
		rc.reset = f.Src()
		rc.answer(wire.Reset, f, nil)
	}
}

// handle takes what has arrived on a stream to the handler.
func (p *Plane) handle(in *inbound) {
	in.mu.Lock()
	q := in.r.Take()
	in.quarter = max(minWindow, in.r.Window()) / 4
	in.mu.Unlock()
	p.drain(&q, in)
	in.mu.Lock()
	more := in.r.Pending()
	in.scheduled = more
	in.mu.Unlock()
	if more {
		p.sched.push(p, &in.turn)
	}
}

// drain calls the handler for each message of a queue, and accounts for them
// when a chunk is done, when a quarter of the window is, and when the source
// asks. in is nil for casts.
func (p *Plane) drain(q *fifo.Queue, in *inbound) {
	d := Delivery{Cast: true}
	quarter := maxWindow
	if in != nil {
		d = Delivery{Source: in.source, Slot: &in.slot}
		quarter = in.quarter
	}
	for q.Size() > 0 {
		chunk := q.Front()
		size := len(chunk)
		n, bytes := 0, 0
		for len(chunk) > 0 {
			var f wire.Frame
			f, chunk = wire.Next(chunk)
			if in == nil {
				d.Source = f.Src()
			}
			d.Port, d.Hops, d.Body = f.Port(), int(f.Hops()), f.Body()
			p.deliver(d)
			n++
			bytes += len(f)
			if len(chunk) == 0 || bytes >= quarter || in != nil && in.asked.Load() {
				p.counters.delivered.Add(int64(n))
				if in != nil {
					p.handled(in, n, bytes)
				}
				n, bytes = 0, 0
			}
		}
		q.Discard(size)
	}
}

// handled reports progress to the source, if it is time to.
func (p *Plane) handled(in *inbound, n, bytes int) {
	p.inbox.Add(-int64(bytes))
	in.unsaid += bytes
	in.mu.Lock()
	in.asked.Store(false)
	tell := in.r.Handled(uint64(n)) || in.unsaid >= in.quarter
	if tell {
		in.ack = in.r.AppendAck(in.ack[:0], p.window())
		in.unsaid = 0
	}
	in.mu.Unlock()
	if tell {
		p.emit(in.source, in.ack)
	}
}

// deliver calls the handler. A handler that panics has had its message; the
// others get theirs.
func (p *Plane) deliver(d Delivery) {
	defer func() {
		if v := recover(); v != nil {
			p.counters.panics.Add(1)
			p.Log.Error("handler panicked", "source", d.Source, "panic", v, "stack", string(debug.Stack()))
		}
	}()
	p.Deliver(p.ctx, d)
}
