package plane

import (
	"context"

	"github.com/x/ringdht/internal/reentry"
	"github.com/x/ringdht/internal/undelivered"
)

// Undelivered describes a stream that ended before everything on it was known to be delivered.
type Undelivered = undelivered.Stream

// recordLoss records what is pending on a stream at its end. The sender calls it, so mu is held.
func (o *outbound) recordLoss() {
	p := o.p
	u := Undelivered{Sink: o.sink, Service: int(o.port), Err: o.s.Err()}
	if u.Err == nil {
		return
	}
	bytes, unknown := 0, o.s.Unknown()
	for port, body := range o.s.Unacknowledged() {
		if port < firstTraffic {
			u.Messages++
			bytes += len(body)
			if unknown == 0 {
				u.NotHandled++
			}
		} else if p.OnLostTraffic != nil {
			p.OnLostTraffic(o.sink, port, body, unknown > 0)
		}
		if unknown > 0 {
			unknown--
		}
	}
	if u.Messages == 0 {
		return
	}
	unlisted, tell := p.losses.Add(u, p.services[o.port].OnUndelivered != nil, bytes, o.pending)
	p.counters.unlisted.Add(int64(unlisted))
	if tell {
		p.wg.Go(p.callBack)
	}
}

// pending yields the bodies of the handlers' pending messages. It needs mu.
func (o *outbound) pending(yield func([]byte) bool) {
	for port, body := range o.s.Unacknowledged() {
		if port < firstTraffic && !yield(body) {
			return
		}
	}
}

// callBack tells the callbacks while there is anything to tell. It has a goroutine of its own: all
// workers may be waiting in Flush.
func (p *Plane) callBack() {
	for p.callOne() {
	}
}

// callOne tells a callback of one stream, and reports whether there is more to tell. If the
// callback ends its goroutine (runtime.Goexit, and so t.Fatal), another goroutine tells the rest.
func (p *Plane) callOne() (more bool) {
	told, exits := false, true
	defer func() {
		var unlisted uint64
		unlisted, more = p.losses.Returned(told)
		p.counters.unlisted.Add(int64(unlisted))
		if more && exits {
			p.wg.Go(p.callBack)
		}
	}()
	told = p.callUser(p.losses.Next())
	exits = false
	return more
}

// callUser calls the callback. It returns false if the callback panics, and does not return if it
// ends its goroutine.
func (p *Plane) callUser(u Undelivered) (ok bool) {
	defer func() {
		switch v := recover(); {
		case v != nil:
			p.counters.panics.Add(1)
			p.logPanic("callback for undelivered messages panicked", "sink", u.Sink, v)
		case !ok:
			p.counters.panics.Add(1)
			p.logPanic("callback for undelivered messages ended its goroutine", "sink", u.Sink, "runtime.Goexit")
		}
	}()
	reentry.Call(p.Owner, func() { p.services[u.Service].OnUndelivered(u) })
	return true
}

// awaitCalls waits until the callback has returned for all streams to these sinks that have
// ended, or to all sinks. Handlers and callbacks do not wait: they might wait for themselves.
func (p *Plane) awaitCalls(ctx context.Context, sinks []uint64) error {
	if ctx.Value(handlerKey{}) == p {
		return nil
	}
	seq := p.losses.LatestCall(sinks)
	for first := true; ; first = false {
		returned := p.losses.AwaitCall(seq)
		if returned == nil || first && reentry.Inside(p.Owner) { // a handler or callback with another context
			return nil
		}
		if err := p.await(ctx, returned, nil); err != nil {
			return err
		}
	}
}

// Flushing returns how many calls of Flush are under way.
func (p *Plane) Flushing() int { return p.losses.Flushing() }
