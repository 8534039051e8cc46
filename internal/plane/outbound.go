package plane

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// outbound is the source's half of a stream and whoever waits for it.
type outbound struct {
	p    *Plane
	sink uint64

	mu sync.Mutex // taken by lock
	allowance
	s       *stream.Sender
	bytes   int           // of s, in Plane.stored
	counted int           // what Plane.stored has for it: at least bytes, and at most half as much again
	backlog int           // of s, as counted in Plane.backlog
	timed   bool          // in Plane.timers
	used    bool          // since the last look for idle streams
	changed chan struct{} // closed when s changed; nil while nobody waits
	out     []byte        // scratch for frames
	exit
}

// outbound finds the stream to a sink or opens one, and says which it did.
func (p *Plane) outbound(sink uint64) (o *outbound, opened bool, err error) {
	if o := p.outboundTo(sink); o != nil {
		return o, false, nil
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, false, p.why
	}
	if p.hushed.Load() {
		p.mu.Unlock()
		return nil, false, ErrHushed
	}
	if o := p.out[sink]; o != nil {
		p.mu.Unlock()
		return o, false, nil
	}
	p.gen++
	o = &outbound{p: p, sink: sink, s: stream.NewSender(p.Self, p.Life, sink, p.gen)}
	o.s.OnEnd(o.salvage)
	p.out[sink] = o
	p.mu.Unlock()

	o.lock()
	defer o.mu.Unlock()
	if o.s.State() == stream.Opening {
		o.flush(o.s.Start(p.now(), o.out[:0]))
	}
	return o, true, nil
}

// outboundTo finds the stream to a sink; nil if there is none.
func (p *Plane) outboundTo(sink uint64) *outbound {
	near := p.nearOut(sink)
	if o := near.Load(); o != nil && o.sink == sink {
		return o
	}
	p.mu.RLock()
	o := p.out[sink]
	if o != nil {
		near.Store(o)
	}
	p.mu.RUnlock()
	return o
}

// nearOut is where the stream to a sink may be found without a lock. What is there is
// in Plane.out; it changes with mu held, if only for reading.
func (p *Plane) nearOut(sink uint64) *atomic.Pointer[outbound] {
	return &p.near[(sink*0x9e3779b97f4a7c15)>>(64-nearBits)]
}

const nearBits = 8

// forget takes a stream that has ended out of the map.
func (p *Plane) forget(o *outbound) {
	p.mu.Lock()
	p.drop(o)
	p.mu.Unlock()
}

// drop needs Plane.mu.
func (p *Plane) drop(o *outbound) {
	if p.out[o.sink] == o {
		delete(p.out, o.sink)
		p.nearOut(o.sink).CompareAndSwap(o, nil)
	}
}

// allowance is how much may be admitted without a look at all that bounds a stream: its
// windows, its share of the send buffer, what waits for its link, and when to ask. They
// were looked at when it was granted, and what it takes was counted ahead. Whoever
// else gets the lock ends it.
type allowance struct {
	granted, left int // bytes of frames
}

// lock takes mu, and brings the accounts up to date.
func (o *outbound) lock() {
	o.mu.Lock()
	o.settle()
}

// settle ends an allowance. It needs mu.
func (o *outbound) settle() {
	o.bytes += o.granted - o.left
	o.granted, o.left = 0, 0
}

// grant allows as much as may be admitted now, after a message that was. It needs mu.
func (o *outbound) grant() {
	if o.link != nil && o.timed {
		o.granted = max(0, min(o.s.Allowance(), o.p.SendBuffer/4-o.bytes, o.counted-o.bytes, o.claim-o.size()))
		o.left = o.granted
	}
}

// allowed admits a message if the allowance covers it, and the link to its sink is the
// one that it was granted for. It is given the lock, as mu.Lock takes it, and returns it
// only if it has done nothing, as lock does.
func (o *outbound) allowed(port uint8, body []byte) bool {
	n := wire.HeaderSize + len(body)
	if n > o.left || o.by != o.p.routes.Load() {
		o.settle()
		return false
	}
	o.left -= n
	o.s.Admit(port, body)
	o.stretch(n)
	o.mu.Unlock()
	return true
}

// push needs mu, and room. A link that is due has to be written to when mu is free
// again.
func (o *outbound) push(port uint8, body []byte) (due *outLink) {
	if o.s.Due() {
		o.ahead(o.s.AskAhead(o.p.now(), o.out[:0]))
	}
	f := o.s.Admit(port, body)
	o.used = true
	o.bytes += len(f)
	if o.bytes > o.counted { // ahead of what is needed, so that not every message has to
		more := o.bytes - o.counted
		if room := o.p.SendBuffer - int(o.p.stored.Load()); room > more {
			more += min(o.bytes/4, room-more)
		}
		o.counted += more
		o.p.stored.Add(int64(more))
	}
	if !o.timed {
		o.timed = true
		o.p.time(o)
	}
	due, err := o.leaveOne(f)
	if err != nil {
		o.nobody()
	}
	o.grant()
	return due
}

// pushBacklog needs mu.
func (o *outbound) pushBacklog(port uint8, body []byte) error {
	over := max(0, o.p.stored.Load()-int64(o.p.SendBuffer)) // what handlers sent because windows allowed it
	if used := o.p.backlog.Load() + over; used+int64(wire.HeaderSize+len(body)) > int64(o.p.HandlerBacklog) {
		return fmt.Errorf("%w: %d of %d bytes", ErrBacklog, used, o.p.HandlerBacklog)
	}
	o.used = true
	if f := o.s.Push(port, body); f != nil { // room for the stream, none in the send buffer
		if err := o.leave(f); err != nil {
			o.nobody()
			return nil
		}
	}
	o.flush(o.s.Ask(o.p.now(), o.out[:0]))
	return nil
}

// pushEarly keeps a message until the stream is open; it needs mu.
func (o *outbound) pushEarly(port uint8, body []byte) {
	o.s.Push(port, body)
	o.used = true
	o.account()
}

// flush sends what a call of the sender's appended and brings the accounts up to
// date; it needs mu.
func (o *outbound) flush(frames []byte) {
	if err := o.leave(frames); err != nil {
		o.nobody()
	}
	o.out = frames[:0]
	if cap(o.out) > 64<<10 {
		o.out = nil // a burst of retransmissions must not stay
	}
	o.account()
	if !o.timed && o.s.Waiting() {
		o.timed = true
		o.p.time(o)
	}
}

// account needs mu. What was accepted while the stream opens waits in its backlog
// too, but is no handler's.
func (o *outbound) account() {
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
	if o.bytes <= o.counted && o.counted <= o.bytes+o.bytes/2 {
		return
	}
	if d := o.bytes - o.counted; d != 0 {
		o.counted = o.bytes
		// Those who wait go on when there is room for many messages: each time the
		// buffer is full every sink is asked, which must not be done for a single one.
		low := int64(p.SendBuffer - p.SendBuffer/8)
		if after := p.stored.Add(int64(d)); after <= low && after-int64(d) > low {
			p.space.broadcast()
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
func (o *outbound) nobody() {
	if o.s.State() != stream.Ended {
		o.s.NoSuchNode()
		o.ended()
	}
}

// ended does what is left to do for a stream that has just ended; it needs mu. What
// was pending has been taken down by salvage.
func (o *outbound) ended() {
	p := o.p
	o.giveUp()
	o.account()
	o.notify()
	accepted, _ := o.s.Progress()
	p.counters.sent.Add(int64(accepted))
	if o.s.Pending() > 0 || o.s.Err() == nil { // those that wait for it to open still want to see the error
		p.forget(o)
	}
}

// fail ends the stream because the plane closes.
func (o *outbound) fail(err error) {
	o.lock()
	defer o.mu.Unlock()
	if o.s.State() != stream.Ended {
		o.end(err)
	}
}

// wait returns a channel that is closed at the next change; it needs mu.
func (o *outbound) wait() <-chan struct{} {
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.changed
}

// notify needs mu.
func (o *outbound) notify() {
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
}

// answered takes the sink's frame to the sender; false if it makes no sense.
func (o *outbound) answered(f wire.Frame) bool {
	p := o.p
	o.lock()
	defer o.mu.Unlock()
	now, out := p.now(), o.out[:0]
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
		p.returned(o.sink)
		progress = true
	case wire.Refuse:
		b, err := wire.ParseRefuse(f.Body())
		if err != nil {
			return false
		}
		if o.s.Refused(f.Seq(), b); b.Reason == wire.RefuseLeaving && o.s.State() == stream.Ended {
			p.departed(o.sink)
		}
		if later := o.s.NewerIncarnation(); later > 0 && (p.Outlived == nil || !p.Outlived(later)) {
			o.s.Fail(stream.ErrOutlived)
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
	p.counters.stale.Add(int64(o.s.Stale() - stale))
	if was != stream.Ended && o.s.State() == stream.Ended {
		o.ended() // such an answer leaves nothing to send
		return true
	}
	o.flush(out) // which may end it too, and then records that itself
	if progress {
		o.notify()
	}
	return true
}

// noRoute takes a relay's refusal to the sender.
func (o *outbound) noRoute(seq uint64, b wire.NoRouteBody) {
	o.lock()
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
	o.lock()
	defer o.mu.Unlock()
	switch {
	case o.s.State() == stream.Ended: // nobody came back to see why
		o.p.forget(o)
	case o.s.State() == stream.Opening && o.changed != nil:
		o.notify() // whoever still waits will say so again before the next look
	case o.s.State() == stream.Opening && !o.used && o.s.Pending() == 0:
		o.end(nil) // whoever wanted it has given up
	case !o.used:
		o.flush(o.s.Close(o.p.now(), o.out[:0]))
	}
	o.used = false
}
