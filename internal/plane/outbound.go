package plane

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// outbound is the source's half of a stream.
type outbound struct {
	p       *Plane
	sink    uint64
	port    uint8     // and this node's number of the service
	sibling *outbound // another one to this sink; guarded by Plane.mu

	mu      sync.Mutex // of what follows
	s       *stream.Sender
	bytes   int           // of s, without the backlog
	charged int           // bytes of it in Plane.stored: at least bytes, at most half as much again
	backlog int           // bytes of it in Plane.backlog
	ticking bool          // in Plane.timers
	used    bool          // since the last sweep for idle streams
	changed notify.Change // s has changed
	scratch []byte        // for frames
	stuck   stuckState
	sendQueue
}

func (o *outbound) peer() uint64     { return o.sink }
func (o *outbound) next() **outbound { return &o.sibling }

// openOutbound finds the stream to a sink with a port, or opens one and reports that it did.
func (p *Plane) openOutbound(sink uint64, port uint8) (o *outbound, opened bool, err error) {
	if o := p.findOutbound(sink, port); o != nil {
		return o, false, nil
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, false, p.why
	}
	if p.sendingStopped.Load() {
		p.mu.Unlock()
		return nil, false, ErrSendingStopped
	}
	if o := p.lookUp(sink, port); o != nil {
		p.mu.Unlock()
		return o, false, nil
	}
	name, err := p.nameOf(port)
	if err != nil {
		p.mu.Unlock()
		return nil, false, err
	}
	if p.members.Leaves(sink) {
		p.mu.Unlock()
		return nil, false, stream.ErrLeft
	}
	p.generation++
	o = &outbound{p: p, sink: sink, port: port, s: stream.NewSender(p.Self, p.Incarnation, sink, p.generation)}
	o.s.For(port, name)
	o.s.OnEnd(o.recordLoss)
	p.outbounds.add(o)
	p.mu.Unlock()

	o.mu.Lock()
	defer o.mu.Unlock()
	if o.s.State() == stream.Opening {
		o.transmit(o.s.Start(p.now(), o.scratch[:0]))
	}
	return o, true, nil
}

// findOutbound finds the stream to a sink with a port. It returns nil if there is none. The cache
// spares the lock for streams that were used lately.
func (p *Plane) findOutbound(sink uint64, port uint8) *outbound {
	slot := p.cacheSlot(sink, port)
	if o := slot.Load(); o != nil && o.sink == sink && o.port == port {
		return o
	}
	p.mu.RLock()
	o := p.lookUp(sink, port)
	if o != nil {
		slot.Store(o)
	}
	p.mu.RUnlock()
	return o
}

// lookUp is findOutbound without the cache. It needs Plane.mu, at least for reading.
func (p *Plane) lookUp(sink uint64, port uint8) *outbound {
	o := p.outbounds.byNode[sink]
	for o != nil && o.port != port {
		o = o.sibling
	}
	return o
}

// cacheSlot is the place in the cache for a stream. What is there is in Plane.outbounds as well. It
// changes with mu held, at least for reading.
func (p *Plane) cacheSlot(sink uint64, port uint8) *atomic.Pointer[outbound] {
	return &p.cache[((sink+uint64(port))*0x9e3779b97f4a7c15)>>(64-cacheBits)]
}

const cacheBits = 8

// forgetOutbound takes a stream that has ended out of the map.
func (p *Plane) forgetOutbound(o *outbound) {
	p.mu.Lock()
	p.dropOutbound(o)
	p.mu.Unlock()
}

// dropOutbound needs Plane.mu.
func (p *Plane) dropOutbound(o *outbound) {
	if p.outbounds.remove(o) {
		p.cacheSlot(o.sink, o.port).CompareAndSwap(o, nil)
	}
}

// admit accepts a message. It needs mu, and room. The caller must call WriteDirect on due, if
// there is one, after it has released mu.
func (o *outbound) admit(port uint8, body []byte) (due *peers.Link) {
	if o.s.Due() {
		o.enqueueAhead(o.s.AskAhead(o.p.now(), o.scratch[:0]))
	}
	n := o.s.Admit(port, body)
	o.used = true
	o.bytes += n
	if o.bytes > o.charged { // more than needed, so that not every message must
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
	due, err := o.enqueueAdmitted(n)
	if err != nil {
		o.noSuchNode()
	}
	return due
}

// admitBacklog accepts a handler's message that the window does not allow. It needs mu.
func (o *outbound) admitBacklog(port uint8, body []byte) error {
	over := max(0, o.p.stored.Load()-int64(o.p.SendBuffer)) // sent by handlers because windows allowed it
	if used := o.p.backlog.Load() + over; used+int64(wire.HeaderSize+len(body)) > int64(o.p.HandlerBacklog) {
		return fmt.Errorf("%w: %d of %d bytes", ErrBacklog, used, o.p.HandlerBacklog)
	}
	o.used = true
	if n := o.s.Push(port, body); n > 0 { // the window had room, the send buffer had none
		due, err := o.enqueueAdmitted(n)
		if due != nil {
			due.WriteAsync()
		}
		if err != nil {
			o.noSuchNode()
			return nil
		}
	}
	o.transmit(o.s.Ask(o.p.now(), o.scratch[:0]))
	return nil
}

// admitEarly keeps a message until the stream is open. It needs mu.
func (o *outbound) admitEarly(port uint8, body []byte) {
	o.s.Push(port, body)
	o.used = true
	o.updateCharges()
}

// transmit sends the frames that a call of the sender appended, and updates the charges. It needs
// mu.
func (o *outbound) transmit(frames []byte) {
	if err := o.enqueue(frames); err != nil {
		o.noSuchNode()
	}
	o.scratch = frames[:0]
	if cap(o.scratch) > maxScratch {
		o.scratch = nil
	}
	o.updateCharges()
	if !o.ticking && o.s.Waiting() {
		o.ticking = true
		o.p.startTicking(o)
	}
}

// maxScratch is how much memory for frames a stream keeps: enough for questions, and not for the
// messages that waited for it to open, or were sent again.
const maxScratch = 1 << 10

// updateCharges brings Plane.stored and Plane.backlog up to date. It needs mu. Messages that were
// accepted while the stream opens are in its backlog too, but they are not a handler's.
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
		// Waiters go on when there is room for many messages. Each time the buffer is full, every
		// sink is asked, which must not happen for a single message.
		low := int64(p.SendBuffer - p.SendBuffer/8)
		if after := p.stored.Add(int64(d)); after <= low && after-int64(d) > low {
			p.bufferSpace.Broadcast()
		}
	}
}

// end ends the stream for a reason found on this side. It needs mu.
func (o *outbound) end(err error) {
	o.s.Fail(err)
	o.ended()
}

// noSuchNode ends the stream because this node itself knows that the sink's ID is not taken. It
// needs mu.
func (o *outbound) noSuchNode() {
	if o.s.State() != stream.Ended {
		o.s.NoSuchNode()
		o.ended()
	}
}

// ended cleans up after a stream that has just ended. It needs mu. recordLoss has recorded what
// was pending.
func (o *outbound) ended() {
	p := o.p
	o.dropQueued()
	o.updateCharges()
	o.changed.Broadcast()
	if first := o.s.First(); first > 0 && o.s.Err() == nil {
		p.endedOut.Add(o.sink, first, o.s.Accepted())
	}
	accepted, _ := o.s.Progress()
	p.counters.sent.Add(int64(accepted))
	if o.s.Pending() > 0 || o.s.Err() == nil { // else calls that wait for it to open still need the error
		p.forgetOutbound(o)
	}
}

// fail ends the stream because the plane closes.
func (o *outbound) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.s.State() != stream.Ended {
		o.end(err)
	}
}

// handleAnswer gives the sink's frame to the sender. It returns false if the frame is malformed.
func (o *outbound) handleAnswer(f wire.Frame) bool {
	p := o.p
	o.mu.Lock()
	defer o.mu.Unlock()
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
		out = o.s.Opened(now, f.Seq(), b, p.bundle(f), out)
		p.members.Here(o.sink, b.SinkIncarnation)
		progress = true
	case wire.Refuse:
		b, err := wire.ParseRefuse(f.Body())
		if err != nil {
			return false
		}
		if o.s.Refused(f.Seq(), b); b.Reason == wire.RefuseLeaving && o.s.State() == stream.Ended {
			p.members.Left(o.sink, 0)
		}
		if later := o.s.NewerIncarnation(); later > 0 && (p.Outlived == nil || !p.Outlived(later)) {
			o.s.Fail(stream.ErrStaleIncarnation)
		}
	case wire.Reset:
		o.s.Reset(f.Seq())
	case wire.Closed:
		o.s.Closed(f.Seq())
	default:
		return false
	}
	if took := o.s.DeliveryTime(); took > 0 {
		p.counters.latency.add(took)
	}
	p.counters.retransmitted.Add(int64(o.s.Retransmitted() - resent))
	if o.s.Stale() > stale {
		p.countStaleAnswer(f)
	}
	if was != stream.Ended && o.s.State() == stream.Ended {
		o.ended() // such an answer leaves nothing to send
		return true
	}
	o.transmit(out) // this may end the stream too, and then calls ended
	if progress {
		o.changed.Broadcast()
	}
	return true
}

// bundle returns how long the bodies of bundles to a sink may be, by its Opened. No frame is longer
// than one of the longest message.
func (p *Plane) bundle(opened wire.Frame) int {
	if !opened.Bundles() {
		return 0
	}
	return min(wire.MaxBundle, p.MaxPayload)
}

// handleNoRoute gives a relay's refusal to the sender.
func (o *outbound) handleNoRoute(seq uint64, b wire.NoRouteBody) {
	o.mu.Lock()
	defer o.mu.Unlock()
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
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.s.State() == stream.Ended: // no call came back to see why
		o.p.forgetOutbound(o)
	case o.s.State() == stream.Opening && o.changed.Awaited():
		o.changed.Broadcast() // calls that still wait will wait again before the next sweep
	case o.s.State() == stream.Opening && !o.used && o.s.Pending() == 0:
		o.end(nil) // the calls that wanted it have given up
	case !o.used:
		o.transmit(o.s.Close(o.p.now(), o.scratch[:0]))
	}
	o.used = false
}
