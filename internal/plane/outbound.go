package plane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// Why a message was not accepted.
var (
	ErrTooLarge = errors.New("message too large")
	ErrBacklog  = errors.New("too much sent by handlers is waiting")
)

// Undelivered says that a stream ended with messages whose fate is unknown.
type Undelivered struct {
	Sink     uint64
	Messages uint64
	Err      error // why the stream ended
}

// outbound is the source's half of a stream and whoever waits for it.
type outbound struct {
	p    *Plane
	sink uint64

	mu      sync.Mutex
	s       *stream.Sender
	bytes   int           // of s, as counted in Plane.stored
	backlog int           // of s, as counted in Plane.backlog
	timed   bool          // in Plane.timers
	used    bool          // since the last look for idle streams
	changed chan struct{} // closed when s changed; nil while nobody waits
	out     []byte        // scratch for frames
}

// Send accepts a message for a sink: when it returns nil the message is numbered
// and kept until the sink's handler is done with it. It waits, for ctx, while the
// stream to a sink not known to exist opens, the window is full, the send buffer is full or the first link is
// congested.
//
// With the context of one of this plane's handlers it does not wait for the
// window: two nodes whose handlers wait for each other's would wait for ever.
// What the window does not allow joins the handler backlog, and when that is
// full the error is [ErrBacklog]. Other senders wait as long as the stream has a
// backlog, which keeps it short.
func (p *Plane) Send(ctx context.Context, sink uint64, port uint8, body []byte) error {
	if len(body) > p.MaxPayload {
		return p.tooLarge(len(body))
	}
	asked := false          // for space in the send buffer
	var waitedFor *outbound // whose end is this call's business
	for {
		o, opened, err := p.outbound(sink)
		if err != nil {
			return err
		}
		var space <-chan struct{}
		full := p.stored.Load() > int64(p.SendBuffer)
		if full {
			space = p.space.wait()
			full = p.stored.Load() > int64(p.SendBuffer)
		}
		o.mu.Lock()
		switch o.s.State() {
		case stream.Open:
			// No sink may fill the send buffer alone: while it is slow the others get
			// theirs. An empty stream may always send one message, so that a full
			// buffer delays a source and cannot stop it.
			share := o.bytes+len(body) <= p.SendBuffer/4
			if o.s.Room(len(body)) && (share && !full || o.s.Pending() == 0) {
				l, queued := o.push(port, body)
				o.mu.Unlock()
				p.counters.sent.Add(1)
				if l != nil && queued > l.Low() {
					l.Room(ctx) // accepted already: whatever this returns, the answer is nil
				}
				return nil
			}
			if ctx.Value(handlerKey{}) == p {
				err := o.pushBacklog(port, body)
				o.mu.Unlock()
				return err
			}
			if full && !asked {
				asked = true
				o.mu.Unlock()
				p.askAll()
				continue
			}
			o.flush(o.s.Ask(p.now(), o.out[:0]))
		case stream.Opening:
			// A sink that exists will answer, so a few messages need not wait for it.
			// In a ring of many nodes a source that waited for each sink's answer
			// would spend its time waiting.
			if !full && o.bytes+wire.HeaderSize+len(body) <= maxEarly && p.known(sink) {
				o.s.Push(port, body)
				o.used = true
				o.account()
				o.mu.Unlock()
				p.counters.sent.Add(1)
				return nil
			}
		case stream.Ended:
			err := o.s.Err()
			o.mu.Unlock()
			p.forget(o)
			if err != nil && (opened || o == waitedFor) {
				return err
			}
			continue // it ended before this call, which deserves an answer of its own
		}
		waitedFor = o
		changed := o.wait()
		o.mu.Unlock()
		if err := wait(ctx, p.ctx, changed, space); err != nil {
			return err
		}
	}
}

// wait returns when either channel is closed, without an error, or when one of
// the contexts is done.
func wait(ctx, plane context.Context, one, other <-chan struct{}) error {
	select {
	case <-one:
		return nil
	case <-other:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-plane.Done():
		return context.Cause(plane)
	}
}

// maxEarly is how many bytes of frames are accepted for a stream before its sink
// has answered: less than any window, so that they leave at once when it has.
const maxEarly = minWindow

// known says whether a node is known to exist.
func (p *Plane) known(id uint64) bool {
	_, ok := slices.BinarySearch(p.routes.Load().members, id)
	return ok
}

func (p *Plane) tooLarge(n int) error {
	return fmt.Errorf("%w: %d bytes, the ring's limit is %d", ErrTooLarge, n, p.MaxPayload)
}

// outbound finds the stream to a sink or opens one, and says which it did.
func (p *Plane) outbound(sink uint64) (o *outbound, opened bool, err error) {
	if o := p.outboundTo(sink); o != nil {
		return o, false, nil
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, false, context.Cause(p.ctx)
	}
	if o := p.out[sink]; o != nil {
		p.mu.Unlock()
		return o, false, nil
	}
	p.gen++
	o = &outbound{p: p, sink: sink, s: stream.NewSender(p.Self, p.Life, sink, p.gen)}
	p.out[sink] = o
	p.mu.Unlock()

	o.mu.Lock()
	defer o.mu.Unlock()
	if o.s.State() == stream.Opening {
		o.flush(o.s.Start(p.now(), o.out[:0]))
	}
	return o, true, nil
}

// outboundTo finds the stream to a sink; nil if there is none.
func (p *Plane) outboundTo(sink uint64) *outbound {
	p.mu.RLock()
	o := p.out[sink]
	p.mu.RUnlock()
	return o
}

// forget takes a stream that has ended out of the map.
func (p *Plane) forget(o *outbound) {
	p.mu.Lock()
	if p.out[o.sink] == o {
		delete(p.out, o.sink)
	}
	p.mu.Unlock()
}

// push needs mu, and room.
func (o *outbound) push(port uint8, body []byte) (*outLink, int) {
	f := o.s.Push(port, body)
	o.used = true
	o.bytes += len(f)
	o.p.stored.Add(int64(len(f)))
	if !o.timed {
		o.timed = true
		o.p.timers.add(o)
	}
	// The append is under mu so that a stream's frames leave in order.
	l, queued, err := o.p.emit(o.sink, f)
	if err != nil {
		o.end(err)
	}
	return l, queued
}

// pushBacklog needs mu.
func (o *outbound) pushBacklog(port uint8, body []byte) error {
	n := int64(wire.HeaderSize + len(body))
	if used := o.p.backlog.Load(); used+n > int64(o.p.HandlerBacklog) {
		return fmt.Errorf("%w: %d of %d bytes", ErrBacklog, used, o.p.HandlerBacklog)
	}
	o.used = true
	if f := o.s.Push(port, body); f != nil { // room for the stream, none in the send buffer
		o.p.emit(o.sink, f)
	}
	o.flush(o.s.Ask(o.p.now(), o.out[:0]))
	o.p.counters.sent.Add(1)
	return nil
}

// flush sends what a call of the sender's appended and brings the accounts up to
// date; it needs mu.
func (o *outbound) flush(frames []byte) {
	if _, _, err := o.p.emit(o.sink, frames); err != nil {
		o.end(err)
	}
	o.out = frames[:0]
	if cap(o.out) > 64<<10 {
		o.out = nil // a burst of retransmissions must not stay
	}
	o.account()
	if !o.timed && o.s.Waiting() {
		o.timed = true
		o.p.timers.add(o)
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
	n := o.s.Bytes() - backlog
	if d := n - o.bytes; d != 0 {
		o.bytes = n
		if after := p.stored.Add(int64(d)); d < 0 && after-int64(d) > int64(p.SendBuffer) && after <= int64(p.SendBuffer) {
			p.space.broadcast()
		}
	}
}

// end ends the stream for a reason found on this side; it needs mu.
func (o *outbound) end(err error) {
	pending := o.s.Pending()
	o.s.Fail(err)
	o.ended(pending)
}

// ended records what became of the pending messages of a stream that has just
// ended; it needs mu.
func (o *outbound) ended(pending uint64) {
	p := o.p
	err := o.s.Err()
	o.account()
	o.notify()
	p.mu.Lock()
	if p.out[o.sink] == o && (pending > 0 || err == nil) {
		delete(p.out, o.sink) // those that wait for it to open still want to see the error
	}
	if pending > 0 && err != nil {
		u := p.failed[o.sink]
		p.failed[o.sink] = Undelivered{o.sink, u.Messages + pending, err}
	}
	p.mu.Unlock()
}

// fail ends the stream because the plane closes.
func (o *outbound) fail(err error) {
	o.mu.Lock()
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
	o.mu.Lock()
	defer o.mu.Unlock()
	now, out := p.now(), o.out[:0]
	resent, stale, pending := o.s.Retransmitted(), o.s.Stale(), o.s.Pending()
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
		progress = true
	case wire.Refuse:
		b, err := wire.ParseRefuse(f.Body())
		if err != nil {
			return false
		}
		o.s.Refused(f.Seq(), b)
	case wire.Reset:
		o.s.Reset(f.Seq())
	case wire.Closed:
		o.s.Closed(f.Seq())
	default:
		return false
	}
	p.counters.retransmitted.Add(int64(o.s.Retransmitted() - resent))
	p.counters.stale.Add(int64(o.s.Stale() - stale))
	o.flush(out)
	if was != stream.Ended && o.s.State() == stream.Ended {
		o.ended(pending)
	} else if progress {
		o.notify()
	}
	return true
}

// noRoute takes a relay's refusal to the sender.
func (o *outbound) noRoute(seq uint64, b wire.NoRouteBody) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.s.State() == stream.Ended {
		return
	}
	pending, stale := o.s.Pending(), o.s.Stale()
	o.s.NoRoute(seq, b)
	o.p.counters.stale.Add(int64(o.s.Stale() - stale))
	if o.s.State() == stream.Ended {
		o.ended(pending)
	}
}

func (o *outbound) closeIfIdle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.used {
		o.flush(o.s.Close(o.p.now(), o.out[:0]))
	}
	o.used = false
}

// snapshot lists the outgoing streams to these sinks, or all if none are given.
func (p *Plane) snapshot(sinks ...uint64) []*outbound {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if len(sinks) > 0 {
		var some []*outbound
		for _, sink := range sinks {
			if o := p.out[sink]; o != nil {
				some = append(some, o)
			}
		}
		return some
	}
	all := make([]*outbound, 0, len(p.out))
	for _, o := range p.out {
		all = append(all, o)
	}
	return all
}

// askAll asks every sink how far it is, to free the send buffer: with very many
// streams none may have enough outstanding for its sink to speak up.
func (p *Plane) askAll() {
	for _, o := range p.snapshot() {
		o.mu.Lock()
		o.flush(o.s.Ask(p.now(), o.out[:0]))
		o.mu.Unlock()
	}
}

// Flush waits until everything accepted before the call for these sinks, or for
// all if none are given, has been handled by its sink's handler. It returns those
// streams that ended otherwise since the last Flush that returned them, and ctx's
// error if that came first.
func (p *Plane) Flush(ctx context.Context, sinks ...uint64) ([]Undelivered, error) {
	type target struct {
		o *outbound
		n uint64 // messages accepted
	}
	var targets []target
	for _, o := range p.snapshot(sinks...) {
		o.mu.Lock()
		if o.s.State() != stream.Ended && o.s.Pending() > 0 {
			accepted, _ := o.s.Progress()
			targets = append(targets, target{o, accepted})
			o.flush(o.s.Flush(p.now(), o.out[:0]))
		}
		o.mu.Unlock()
	}
	for _, t := range targets {
		for {
			t.o.mu.Lock()
			if _, delivered := t.o.s.Progress(); t.o.s.State() == stream.Ended || delivered >= t.n {
				t.o.mu.Unlock()
				break
			}
			changed := t.o.wait()
			t.o.mu.Unlock()
			if err := wait(ctx, p.ctx, changed, nil); err != nil {
				return p.takeFailed(sinks), err
			}
		}
	}
	return p.takeFailed(sinks), nil
}

func (p *Plane) takeFailed(sinks []uint64) []Undelivered {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Undelivered
	for sink, u := range p.failed {
		if len(sinks) == 0 || slices.Contains(sinks, sink) {
			all = append(all, u)
			delete(p.failed, sink)
		}
	}
	return all
}

// Cast sends a message without a stream: nobody numbers, acknowledges or repeats
// it. It waits, for ctx, only while the first link is congested.
func (p *Plane) Cast(ctx context.Context, sink uint64, port uint8, body []byte) error {
	if len(body) > p.MaxPayload {
		return p.tooLarge(len(body))
	}
	b := castPool.Get().(*[]byte)
	*b = wire.Append((*b)[:0], wire.Header{Type: wire.Cast, Port: port, Dst: sink, Src: p.Self}, body)
	l, queued, err := p.emit(sink, *b)
	castPool.Put(b)
	if err != nil {
		return err
	}
	p.counters.sent.Add(1)
	p.counters.casts.Add(1)
	if l != nil && queued > l.Low() {
		l.Room(ctx)
	}
	return nil
}

var castPool = sync.Pool{New: func() any { return new([]byte) }}

// tickInterval is how often the streams that wait for something look at the
// clock: finely enough for the shortest timeout, stream.MinRTO.
const tickInterval = stream.MinRTO / 4

// timers holds the streams to which time matters.
type timers struct {
	mu   sync.Mutex
	all  []*outbound
	wake chan struct{}
}

// add may be called with the outbound's mu held.
func (t *timers) add(o *outbound) {
	t.mu.Lock()
	t.all = append(t.all, o)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// tick is a goroutine. It sleeps for good while no stream waits for anything.
func (p *Plane) tick() {
	t := &p.timers
	timer := time.NewTimer(tickInterval)
	defer timer.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-t.wake:
		}
		for {
			timer.Reset(tickInterval)
			select {
			case <-p.ctx.Done():
				return
			case <-timer.C:
			}
			t.mu.Lock()
			all := t.all
			t.all = nil
			t.mu.Unlock()
			for _, o := range all {
				if o.tick() {
					t.mu.Lock()
					t.all = append(t.all, o)
					t.mu.Unlock()
				}
			}
			t.mu.Lock()
			idle := len(t.all) == 0
			t.mu.Unlock()
			if idle {
				break
			}
		}
	}
}

// tick says whether time still matters to the stream.
func (o *outbound) tick() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.s.Waiting() {
		o.timed = false
		return false
	}
	o.flush(o.s.Tick(o.p.now(), o.out[:0]))
	return true
}
