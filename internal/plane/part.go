package plane

import (
	"context"
	"errors"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// A node leaves in this order, while it is still in all tables and frames of
// both directions find their way: [Plane.Part] ends what comes in, [Plane.Hush] lets
// nothing more be sent, a last Flush sees to what handlers have sent meanwhile, and
// [Plane.Finish] closes what went out. Then the peers are told to let go of it, and
// [Plane.Drain] relays until they have.

// ErrHushed says that the node is about to leave and sends nothing any more.
var ErrHushed = errors.New("it has left, or is about to")

// Part ends every incoming stream in good order. From now on nothing new is taken, and
// requests for streams are refused. What was taken is handled; then each source is told
// how far that came, and confirms. Part waits, for ctx, until handlers are done, and for
// no longer than patience after that until the sources have confirmed: one that is gone or
// cannot be reached confirms nothing. Until the plane closes, it is told the same whenever
// it asks.
//
// A stream from the node to itself goes on: its handlers may still send to it.
func (p *Plane) Part(ctx context.Context, patience time.Duration) error {
	p.cutAll()
	if err := p.until(ctx, p.allParted); err != nil {
		return err
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pace := stream.MinRTO; ; pace = min(2*pace, stream.MaxRTO) {
		look, done := context.WithTimeout(patient, pace)
		err := p.until(look, p.allConfirmed)
		again := look.Err() != nil && patient.Err() == nil
		done()
		switch {
		case again:
			p.bidFarewell()
		case ctx.Err() == nil && patient.Err() != nil:
			return nil
		default:
			return err
		}
	}
}

// cutAll cuts every stream from another node, and lets none be made from here on.
func (p *Plane) cutAll() {
	p.mu.Lock()
	p.parting.Store(true)
	p.mu.Unlock()
	for _, in := range p.incoming() {
		if in.source != p.Self {
			p.cut(in)
		}
	}
}

// cut lets a stream take nothing more, and says farewell if nothing is left to handle.
func (p *Plane) cut(in *inbound) {
	in.mu.Lock()
	if in.gone {
		in.mu.Unlock()
		return
	}
	before := in.r.Bytes()
	in.r.Cut()
	p.inbox.Add(int64(in.r.Bytes() - before))
	var out []byte
	if in.r.Parted() && !in.over {
		out = in.r.AppendFarewell(nil)
	}
	in.mu.Unlock()
	p.emit(in.source, out)
}

// allParted says that handlers are done with all that was taken before the cut.
func (p *Plane) allParted() bool {
	return !p.anyIncoming(func(in *inbound) bool { return !in.r.Parted() })
}

// allConfirmed says that every source knows how far its messages came, or is known to be
// gone, or to have left: that one waits for no word, and may not be there to confirm it.
func (p *Plane) allConfirmed() bool {
	return !p.anyIncoming(func(in *inbound) bool { return !in.over && !in.left })
}

// anyIncoming says whether there is a stream from another node for which f, called with
// its lock held, returns true.
func (p *Plane) anyIncoming(f func(*inbound) bool) bool {
	for _, in := range p.incoming() {
		if in.source == p.Self {
			continue
		}
		in.mu.Lock()
		yes := !in.gone && f(in)
		in.mu.Unlock()
		if yes {
			return true
		}
	}
	return false
}

// bidFarewell says again to every source that has not confirmed how far its messages came.
func (p *Plane) bidFarewell() {
	var out []byte
	for _, in := range p.incoming() {
		in.mu.Lock()
		if say := !in.gone && !in.over && in.r.Parted(); !say {
			in.mu.Unlock()
			continue
		}
		out = in.r.AppendFarewell(out[:0])
		in.mu.Unlock()
		p.emit(in.source, out)
	}
}

// refuseOpen answers a request for a stream of a node that leaves. in is the stream from
// that source, locked, or nil.
func (rc *reception) refuseOpen(in *inbound, f wire.Frame, b wire.OpenBody) {
	p := rc.p
	later := 1
	if in != nil {
		defer in.mu.Unlock()
		later = in.r.CompareOpen(b.Incarnation, f.Seq())
	}
	switch {
	case later < 0:
		p.counters.stale.Add(1)
		return
	case later == 0: // the first answer may have been lost: the farewell ends the stream when it is open
		rc.reply = in.r.AppendOpened(rc.reply, 0)
		if in.r.Parted() {
			rc.reply = in.r.AppendFarewell(rc.reply)
		}
		return
	case in != nil: // it has ended the stream that was
		p.inboundOver(in)
	}
	rc.answer(wire.Refuse, f, wire.RefuseBody{SourceIncarnation: b.Incarnation, Reason: wire.RefuseLeaving}.Append(nil))
}

// inboundOver takes note that the source waits for no answer on a stream any more. A handler that
// is busy with it forgets it when it is done. It needs in.mu.
func (p *Plane) inboundOver(in *inbound) {
	in.over = true
	if !in.scheduled {
		p.forgetInbound(in)
	} else if p.parting.Load() {
		p.changes.broadcast()
	}
}

// farewell takes the word of a sink that has left, and confirms it: also for a stream that
// has ended here before.
func (rc *reception) farewell(f wire.Frame) {
	o := rc.p.outboundTo(f.Src())
	if o == nil || o.farewell(f.Seq()) {
		rc.answer(wire.Close, f, nil)
	} else {
		rc.p.counters.stale.Add(1)
	}
}

// farewell says whether the stream has ended.
func (o *outbound) farewell(cut uint64) bool {
	o.lock()
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
	o.p.departed(o.sink)
	o.ended()
	return true
}

// Hush lets nothing more be sent on streams: Send fails with [ErrHushed]. Flush then waits
// for all that ever will be.
func (p *Plane) Hush() {
	p.hushed.Store(true)
	for _, o := range p.outgoing() { // none is within an allowance that was granted before
		o.lock()
		o.notify()
		o.mu.Unlock()
	}
	p.space.broadcast()
}

// Finish closes the outgoing streams and waits until their sinks have forgotten them, for
// ctx and no longer than patience. Streams with anything pending are left alone.
func (p *Plane) Finish(ctx context.Context, patience time.Duration) error {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all := p.outgoing()
	for _, o := range all {
		o.lock()
		o.flush(o.s.Close(p.now(), o.out[:0]))
		o.mu.Unlock()
	}
	for _, o := range all {
		if err := o.closed(patient); err != nil && patient.Err() == nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// closed waits for the end of a stream that is closing.
func (o *outbound) closed(ctx context.Context) error {
	o.lock()
	defer o.mu.Unlock()
	for o.s.State() == stream.Closing {
		changed := o.wait()
		o.mu.Unlock()
		err := wait(ctx, o.p.ctx, changed, nil)
		o.lock()
		if err != nil {
			return err
		}
	}
	return nil
}
