package plane

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// handle takes what has arrived on a stream to the handler.
func (p *Plane) handle(ctx context.Context, in *inbound) span {
	in.mu.Lock()
	q := in.r.Take()
	in.quarter = max(minWindow, in.r.Window()) / 4
	in.until = in.r.AckAfter()
	in.mu.Unlock()
	took := p.drain(ctx, &q, in)
	in.mu.Lock()
	more := in.r.Pending() && !p.closing.Load()
	in.scheduled = more
	if in.over && !more && !in.gone {
		p.forgetInbound(in)
	}
	in.mu.Unlock()
	if more {
		p.sched.push(p, &in.turn)
	} else if p.parting.Load() || p.draining.Load() {
		p.changes.broadcast()
	}
	return took
}

// drain calls the handler for each message of a queue, and accounts for them
// when a chunk is done, when a quarter of the window is, and when the source
// asks. in is nil for casts. It says when that was, if a reader could have done it.
func (p *Plane) drain(ctx context.Context, q *fifo.Queue, in *inbound) (took span) {
	if q.Size() > fewBytes {
		giveWay(ctx) // more than the read has brought: a gap was filled, or casts gathered
	} else {
		took.from = p.now()
		defer func() { took.to = p.now() }()
	}
	d := Delivery{Cast: true}
	quarter := maxWindow
	if in != nil {
		d = Delivery{Source: in.source, Slot: &in.slot}
		quarter = in.quarter
	}
	for q.Size() > 0 {
		p.pass(ctx)
		chunk := q.Front()
		size := len(chunk)
		for len(chunk) > 0 {
			n, bytes := p.deliver(ctx, &d, chunk, quarter, in)
			if n > 0 {
				p.counters.delivered.Add(int64(n))
				p.inbox.Add(-int64(bytes))
				if in != nil {
					p.handled(in, n, bytes)
				} else {
					p.casts.handled(bytes)
				}
			}
			if p.closing.Load() {
				return took
			}
			chunk = chunk[bytes:]
		}
		q.Discard(size)
	}
	return took
}

// handled reports progress to the source, if it is time to.
func (p *Plane) handled(in *inbound, n, bytes int) {
	in.unsaid += bytes
	in.mu.Lock()
	in.asked.Store(false)
	tell := in.r.Handled(uint64(n)) || in.unsaid >= in.quarter
	if tell {
		in.ack = in.r.AppendAck(in.ack[:0], p.window())
		in.unsaid = 0
	}
	if in.r.Parted() && !in.over {
		in.ack, tell = in.r.AppendFarewell(in.ack[:0]), true
	}
	in.until = in.r.AckAfter()
	in.mu.Unlock()
	if tell {
		p.emit(in.source, in.ack)
	}
}

// deliver calls the handler for the messages of a chunk until a quarter is done, or all
// that the source has asked about, or it asks now, and returns how many and how long they were. A handler
// that panics has had its message; the others get theirs.
//
// Once the plane closes no handler starts any more, and what one that was interrupted
// has done with its message is not known.
func (p *Plane) deliver(ctx context.Context, d *Delivery, chunk []byte, quarter int, in *inbound) (n, bytes int) {
	hops, since := 0, 0 // of the messages from the one with this number on
	returned := false
	defer func() { // for all of them: it would cost more than many a handler
		switch v := recover(); {
		case v != nil:
			p.counters.panics.Add(1)
			p.panicked("handler panicked", "source", d.Source, v)
			if !p.closing.Load() {
				n++
				bytes += wire.HeaderSize + len(d.Body)
			}
		case !returned: // what called this ends as well
			p.counters.panics.Add(1)
			p.panicked("handler ended its goroutine, which stops the messages of this source for good", "source", d.Source, "runtime.Goexit")
		}
		p.counters.crossed(hops, n-since)
	}()
	until := math.MaxInt
	if in != nil && in.until > 0 {
		until = in.until
	}
	for bytes < len(chunk) && bytes < quarter && n < until && !p.closing.Load() {
		f, _ := wire.Next(chunk[bytes:])
		if in == nil {
			d.Source = f.Src()
		}
		d.Port, d.Hops, d.Body = f.Port(), int(f.Hops()), f.Body()
		if d.Hops != hops {
			p.counters.crossed(hops, n-since)
			hops, since = d.Hops, n
		}
		next := bytes + len(f)
		d.More = in != nil && next < len(chunk) && next < quarter && n+1 < until && wire.Frame(chunk[next:]).Port() == d.Port && !in.asked.Load()
		p.Deliver(ctx, d)
		if p.closing.Load() {
			break
		}
		n++
		bytes = next
		if !d.More && in != nil && in.asked.Load() {
			break
		}
	}
	returned = true
	return n, bytes
}

// panicked logs a panic in the user's code. Its value may be borrowed, so it is put into
// words now.
func (p *Plane) panicked(what, of string, id uint64, v any) {
	p.Log.Error(what, "node", p.Self, of, id, "panic", fmt.Sprint(v), "stack", withoutDigits(string(debug.Stack())))
}
