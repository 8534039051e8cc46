package plane

import (
	"fmt"
	"sync/atomic"

	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// outbound is the source's half of a stream and whoever waits for it.
type outbound struct {
	p    *Plane
	sink uint64

	allowance // and the lock of what follows
	s         *stream.Sender
	bytes     int           // of s, in Plane.stored
	charged   int           // what Plane.stored has for it: at least bytes, and at most half as much again
	backlog   int           // of s, as counted in Plane.backlog
	ticking   bool          // in Plane.timers
	used      bool          // since the last look for idle streams
	changed   notify.Change // s has changed
	scratch   []byte        // scratch for frames
	sendQueue
}

// outbound finds the stream to a sink or opens one, and says which it did.
func (p *Plane) openOutbound(sink uint64) (o *outbound, opened bool, err error) {
	if o := p.findOutbound(sink); o != nil {
		return o, false, nil
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, false, p.why
	}
	if p.sendingStopped.Load() {
		p.mu.Unlock()
		return nil, false, ErrHushed
	}
	if o := p.outbounds[sink]; o != nil {
		p.mu.Unlock()
		return o, false, nil
	}
	p.generation++
	o = &outbound{p: p, sink: sink, s: stream.NewSender(p.Self, p.Life, sink, p.generation)}
	o.s.OnEnd(o.recordLoss)
	p.outbounds[sink] = o
	p.mu.Unlock()

	o.lock()
	defer o.unlock()
	if o.s.State() == stream.Opening {
		o.transmit(o.s.Start(p.now(), o.scratch[:0]))
	}
	return o, true, nil
}

// outboundTo finds the stream to a sink; nil if there is none.
func (p *Plane) findOutbound(sink uint64) *outbound {
	near := p.cacheSlot(sink)
	if o := near.Load(); o != nil && o.sink == sink {
		return o
	}
	p.mu.RLock()
	o := p.outbounds[sink]
	if o != nil {
		near.Store(o)
	}
	p.mu.RUnlock()
	return o
}

// nearOut is where the stream to a sink may be found without a lock. What is there is
// in Plane.out; it changes with mu held, if only for reading.
func (p *Plane) cacheSlot(sink uint64) *atomic.Pointer[outbound] {
	return &p.cache[(sink*0x9e3779b97f4a7c15)>>(64-cacheBits)]
}

const cacheBits = 8

// forget takes a stream that has ended out of the map.
func (p *Plane) forgetOutbound(o *outbound) {
	p.mu.Lock()
	p.dropOutbound(o)
	p.mu.Unlock()
}

// drop needs Plane.mu.
func (p *Plane) dropOutbound(o *outbound) {
	if p.outbounds[o.sink] == o {
		delete(p.outbounds, o.sink)
		p.cacheSlot(o.sink).CompareAndSwap(o, nil)
	}
}

// push needs mu, and room. A link that is due has to be written to when mu is free
// again.
func (o *outbound) admit(port uint8, body []byte) (due *outLink) {
	if o.s.Due() {
		o.enqueueAhead(o.s.AskAhead(o.p.now(), o.scratch[:0]))
	}
	f := o.s.Admit(port, body)
	o.used = true
	o.bytes += len(f)
	if o.bytes > o.charged { // ahead of what is needed, so that not every message has to
		more := o.bytes - o.charged
		if room := o.p.SendBuffer - int(o.p.stored.Load()); room > more {
			more += min(o.bytes/4, room-more)
		}
		o.charged += more
		o.p.stored.Add(int64(more))
	}
	if !o.ticking {
		o.ticking = true
		o.p.startTicking(o)
	}
	due, err := o.enqueueAdmitted(f)
	if err != nil {
		o.noSuchNode()
	}
	o.grant()
	return due
}

// pushBacklog needs mu.
func (o *outbound) admitBacklog(port uint8, body []byte) error {
	over := max(0, o.p.stored.Load()-int64(o.p.SendBuffer)) // what handlers sent because windows allowed it
	if used := o.p.backlog.Load() + over; used+int64(wire.HeaderSize+len(body)) > int64(o.p.HandlerBacklog) {
		return fmt.Errorf("%w: %d of %d bytes", ErrBacklog, used, o.p.HandlerBacklog)
	}
	o.used = true
	if f := o.s.Push(port, body); f != nil { // room for the stream, none in the send buffer
		if err := o.enqueue(f); err != nil {
			o.noSuchNode()
			return nil
		}
	}
	o.transmit(o.s.Ask(o.p.now(), o.scratch[:0]))
	return nil
}

// pushEarly keeps a message until the stream is open; it needs mu.
func (o *outbound) admitEarly(port uint8, body []byte) {
	o.s.Push(port, body)
	o.used = true
	o.updateCharges()
}

// flush sends what a call of the sender's appended and brings the accounts up to
// date; it needs mu.
func (o *outbound) transmit(frames []byte) {
	if err := o.enqueue(frames); err != nil {
		o.noSuchNode()
	}
	o.scratch = frames[:0]
	if cap(o.scratch) > 64<<10 {
		o.scratch = nil // a burst of retransmissions must not stay
	}
	o.updateCharges()
	if !o.ticking && o.s.Waiting() {
		o.ticking = true
		o.p.startTicking(o)
	}
}

// account needs mu. What was accepted while the stream opens waits in its backlog
// too, but is no handler's.
func (o *outbound) updateCharges() {
	p := o.p
	backlog := o.s.Backlog()
	if o.s.State() == stream.Opening {
		backlog = 0
	}
	if backlog != o.backlog {
		p.backlog.Add(int64(backlog - o.backlog))
		o.backlog = backlog
	}
	o.bytes = o.s.Bytes() - backlog
	if o.bytes <= o.charged && o.charged <= o.bytes+o.bytes/2 {
		return
	}
	if d := o.bytes - o.charged; d != 0 {
		o.charged = o.bytes
		// Those who wait go on when there is room for many messages: each time the
		// buffer is full every sink is asked, which must not be done for a single one.
		low := int64(p.SendBuffer - p.SendBuffer/8)
		if after := p.stored.Add(int64(d)); after <= low && after-int64(d) > low {
			p.bufferSpace.Broadcast()
		}
	}
}

// end ends the stream for a reason found on this side; it needs mu.
func (o *outbound) end(err error) {
	o.s.Fail(err)
	o.ended()
}

// nobody ends the stream because this node itself knows that nobody has the sink's
// ID; it needs mu.
func (o *outbound) noSuchNode() {
	if o.s.State() != stream.Ended {
		o.s.NoSuchNode()
		o.ended()
	}
}

// ended does what is left to do for a stream that has just ended; it needs mu. What
// was pending has been taken down by salvage.
func (o *outbound) ended() {
	p := o.p
	o.dropQueued()
	o.updateCharges()
	o.changed.Broadcast()
	accepted, _ := o.s.Progress()
	p.counters.sent.Add(int64(accepted))
	if o.s.Pending() > 0 || o.s.Err() == nil { // those that wait for it to open still want to see the error
		p.forgetOutbound(o)
	}
}

// fail ends the stream because the plane closes.
func (o *outbound) fail(err error) {
	o.lock()
	defer o.unlock()
	if o.s.State() != stream.Ended {
		o.end(err)
	}
}

// answered takes the sink's frame to the sender; false if it makes no sense.
func (o *outbound) handleAnswer(f wire.Frame) bool {
	p := o.p
	o.lock()
	defer o.unlock()
	now, out := p.now(), o.scratch[:0]
	resent, stale := o.s.Retransmitted(), o.s.Stale()
	was := o.s.State()
	progress := false
	switch f.Type() {
	case wire.Ack:
		var err error
		if out, progress, err = o.s.Ack(now, f.Seq(), f.Body(), out); err != nil {
			return false
		}
	case wire.Opened:
		b, err := wire.ParseOpened(f.Body())
		if err != nil {
			return false
		}
		out = o.s.Opened(now, f.Seq(), b, out)
		p.noteAnswered(o.sink)
		progress = true
	case wire.Refuse:
		b, err := wire.ParseRefuse(f.Body())
		if err != nil {
			return false
		}
		if o.s.Refused(f.Seq(), b); b.Reason == wire.RefuseLeaving && o.s.State() == stream.Ended {
			p.noteLeft(o.sink)
		}
		if later := o.s.Outlived(); later > 0 && (p.Outlived == nil || !p.Outlived(later)) {
			o.s.Fail(stream.ErrOutlived)
		}
	case wire.Reset:
		o.s.Reset(f.Seq())
	case wire.Closed:
		o.s.Closed(f.Seq())
	default:
		return false
	}
	if took := o.s.Took(); took > 0 {
		p.counters.latency.add(took)
	}
	p.counters.retransmitted.Add(int64(o.s.Retransmitted() - resent))
	p.counters.stale.Add(int64(o.s.Stale() - stale))
	if was != stream.Ended && o.s.State() == stream.Ended {
		o.ended() // such an answer leaves nothing to send
		return true
	}
	o.transmit(out) // which may end it too, and then records that itself
	if progress {
		o.changed.Broadcast()
	}
	return true
}

// noRoute takes a relay's refusal to the sender.
func (o *outbound) handleNoRoute(seq uint64, b wire.NoRouteBody) {
	o.lock()
	defer o.unlock()
	if o.s.State() == stream.Ended {
		return
	}
	stale := o.s.Stale()
	o.s.NoRoute(seq, b)
	o.p.counters.stale.Add(int64(o.s.Stale() - stale))
	if o.s.State() == stream.Ended {
		o.ended()
	}
}

func (o *outbound) closeIfIdle() {
	o.lock()
	defer o.unlock()
	switch {
	case o.s.State() == stream.Ended: // nobody came back to see why
		o.p.forgetOutbound(o)
	case o.s.State() == stream.Opening && o.changed.Awaited():
		o.changed.Broadcast() // whoever still waits will say so again before the next look
	case o.s.State() == stream.Opening && !o.used && o.s.Pending() == 0:
		o.end(nil) // whoever wanted it has given up
	case !o.used:
		o.transmit(o.s.Close(o.p.now(), o.scratch[:0]))
	}
	o.used = false
}
