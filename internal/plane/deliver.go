package plane

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/reentry"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/internal/workers"
)

// fewBytes is the most that one read brings of a small call, see [workers.Lender]. A call takes all
// that a source, or all casts together, have in one read. Of more there may be more to come, so the
// reader reads on, and workers make the call.
const fewBytes = 1 << 10

// handle gives what has arrived on a stream to the handler, or the casts of its service if in is nil.
func (p *Plane) handle(ctx context.Context, s *service, in *inbound) (took workers.Span) {
	reentry.Call(p.Owner, func() {
		if in == nil {
			took = p.deliverCasts(ctx, s)
		} else {
			took = p.deliverStream(ctx, in)
		}
	})
	return took
}

// deliverStream gives what has arrived on a stream to the handler.
func (p *Plane) deliverStream(ctx context.Context, in *inbound) workers.Span {
	in.mu.Lock()
	q := in.r.Take()
	in.quarterWindow = max(minWindow, in.r.Window()) / 4
	in.untilAsked = in.r.AckAfter()
	in.mu.Unlock()
	took := p.deliverQueue(ctx, &q, in.service, in)
	in.mu.Lock()
	more := in.r.Pending() && !p.closing.Load()
	in.scheduled = more
	if in.finished && !more && !in.forgotten {
		p.forgetInbound(in)
	}
	in.mu.Unlock()
	if more {
		p.workers.Push(&in.turn)
	} else if p.incomingCut.Load() || p.draining.Load() {
		p.changes.Broadcast()
	}
	return took
}

// deliverQueue calls the handler for each message of a queue. It accounts for them at the end of
// a chunk, after a quarter of the window, and when the source asks. in is nil for casts. took is
// set if the queue was small enough for a reader to handle.
func (p *Plane) deliverQueue(ctx context.Context, q *fifo.Queue, s *service, in *inbound) (took workers.Span) {
	if q.Size() > fewBytes {
		workers.GiveWay(ctx) // more than one read has brought: a gap was filled, or casts gathered
	} else {
		took.From = p.now()
		defer func() { took.To = p.now() }()
	}
	d := Delivery{Service: s.number, Cast: true}
	quarter := maxWindow
	if in != nil {
		d = Delivery{Source: in.source, Service: s.number, Slot: &in.slot}
		quarter = in.quarterWindow
	}
	for q.Size() > 0 {
		p.awaitFence(ctx)
		chunk := q.Front()
		for m := wire.Walk(chunk); m.Left() > 0; {
			n, bytes := p.callHandler(ctx, &d, &m, quarter, in)
			if n > 0 {
				p.counters.delivered.Add(int64(n))
				p.charge(s, -bytes)
				if in != nil {
					p.acknowledge(in, n, bytes)
				} else {
					s.casts.handled(bytes)
				}
			}
			if p.closing.Load() {
				return took
			}
		}
		q.Discard(len(chunk))
	}
	return took
}

// acknowledge counts messages as handled, and tells the source if it is time to.
func (p *Plane) acknowledge(in *inbound, n, bytes int) {
	in.unacknowledgedBytes += bytes
	in.mu.Lock()
	in.askedProgress.Store(false)
	tell := in.r.Handled(uint64(n)) || in.unacknowledgedBytes >= in.quarterWindow
	if tell {
		in.ack = in.r.AppendAck(in.ack[:0], p.window(in.service))
		in.unacknowledgedBytes = 0
	}
	if in.r.Drained() && !in.finished {
		in.ack, tell = in.r.AppendFarewell(in.ack[:0]), true
	}
	in.untilAsked = in.r.AckAfter()
	tell = tell && in.port != noPort
	in.mu.Unlock()
	if tell {
		p.emit(in.source, in.ack)
	}
}

// callHandler calls the handler for the messages that are left of a chunk. It stops after a quarter of the
// window, after the messages that the source has asked about, or when the source asks now. It
// returns the number of messages and of their bytes. A message whose handler panics counts as
// handled; those behind it are delivered.
//
// Once the plane closes, no handler starts any more. Whether an interrupted handler has handled
// its message is unknown.
func (p *Plane) callHandler(ctx context.Context, d *Delivery, m *wire.Walker, quarter int, in *inbound) (n, bytes int) {
	all := m.Left()
	hops, since := 0, 0 // since is the number of the first message with these hops
	returned := false
	defer func() { // once for all of them: it would cost more than many a handler
		switch v := recover(); {
		case v != nil:
			p.counters.panics.Add(1)
			p.logPanic("handler panicked", "source", d.Source, v)
			if !p.closing.Load() {
				n, bytes = n+1, all-m.Left()
			}
		case !returned: // the caller's goroutine ends as well
			p.counters.panics.Add(1)
			p.logPanic("handler ended its goroutine, which stops the messages of this source for good", "source", d.Source, "runtime.Goexit")
		}
		p.counters.crossed(hops, n-since)
	}()
	until := math.MaxInt
	if in != nil && in.untilAsked > 0 {
		until = in.untilAsked
	}
	for bytes < quarter && n < until && !p.closing.Load() && m.Next() {
		f := m.Frame
		d.Port, d.Hops, d.Body = f.Port(), int(f.Hops()), m.Body
		if in == nil {
			d.Source = f.Src()
			if d.Service > 0 {
				_, d.Body, _ = wire.ParseNamed(d.Body) // receiveNamedCast has checked it
			}
		}
		if d.Hops != hops {
			p.counters.crossed(hops, n-since)
			hops, since = d.Hops, n
		}
		next := all - m.Left()
		d.More = in != nil && next < quarter && n+1 < until && m.SamePort() && !in.askedProgress.Load()
		p.Deliver(ctx, d)
		if p.closing.Load() {
			break
		}
		n++
		bytes = next
		if !d.More && in != nil && in.askedProgress.Load() {
			break
		}
	}
	returned = true
	return n, bytes
}

// logPanic logs a panic in the user's code. Its value may be borrowed, so it is formatted now.
func (p *Plane) logPanic(what, of string, id uint64, v any) {
	p.Log.Error(what, "node", p.Self, of, id, "panic", fmt.Sprint(v), "stack", reentry.WithoutDigits(string(debug.Stack())))
}
