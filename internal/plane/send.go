package plane

import (
	"context"
	"errors"
	"fmt"

	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/internal/workers"
)

// Reasons for which a message is not accepted.
var (
	ErrTooLarge = errors.New("message too large")
	ErrBacklog  = errors.New("too much sent by handlers is waiting")
)

// Send accepts a message for a sink. port is this node's number of the service, or from 128 on that of a
// traffic run. When Send returns nil, the message is numbered, and kept until
// the sink's handler has handled it. It does nothing if ctx has ended. It waits, no longer than
// ctx, while the window is full, while the send buffer is full, while the first link is
// congested, and while a stream opens whose sink is not known to exist.
//
// With the context of a handler of this plane, Send does not wait for the window: two nodes whose
// handlers wait for each other's windows would wait for ever. What the window does not allow
// joins the handler backlog; if that is full the error is [ErrBacklog]. Other senders wait while
// the stream has a backlog, which keeps it short.
func (p *Plane) Send(ctx context.Context, sink uint64, port uint8, body []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(body) > p.MaxPayload {
		return p.tooLarge(len(body))
	}
	var waitedFor *outbound // this call returns the error with which it ends
	for {
		o, opened, err := p.openOutbound(sink, wire.StreamPort(port))
		if err != nil {
			return err
		}
		o.mu.Lock()
		if p.sendingStopped.Load() {
			o.mu.Unlock()
			return ErrSendingStopped
		}
		full, space := p.sendBufferFull()
		switch o.s.State() {
		case stream.Open:
			// No stream may fill the send buffer alone: while its sink is slow, others get their
			// share. An empty stream may always send one message, so a full buffer delays a
			// source but cannot stop it.
			withinShare := o.bytes+len(body) <= p.SendBuffer/4
			room, congested := o.s.Room(len(body)), o.congested()
			if room && congested == nil && (withinShare && !full || o.s.Pending() == 0) {
				due := o.admit(port, body)
				o.mu.Unlock()
				if due != nil {
					due.WriteDirect()
				}
				return nil
			}
			if ctx.Value(handlerKey{}) == p {
				err := o.admitBacklog(port, body)
				o.mu.Unlock()
				return err
			}
			if full && p.askedAll.CompareAndSwap(false, true) {
				o.mu.Unlock()
				p.askAll()
				continue
			}
			if !room || full || !withinShare {
				o.transmit(o.s.Ask(p.now(), o.scratch[:0]))
			}
			if congested != nil {
				space = congested
			}
		case stream.Opening:
			// A sink that exists will answer, so a few messages need not wait for that. In a ring
			// of many nodes a source that waited for each sink's answer would do nothing else.
			early := o.s.Pending() == 0 || o.bytes+wire.HeaderSize+len(body) <= maxEarly
			if !full && early && p.members.Stays(sink) {
				o.admitEarly(port, body)
				o.mu.Unlock()
				return nil
			}
		case stream.Ended:
			err := o.s.Err()
			o.mu.Unlock()
			p.forgetOutbound(o)
			if err != nil && (opened || o == waitedFor) {
				return err
			}
			continue // it had ended before this call, which opens a new one
		}
		waitedFor = o
		changed := o.changed.Next()
		o.mu.Unlock()
		if err := p.await(ctx, changed, space); err != nil {
			return err
		}
	}
}

// sendBufferFull reports whether the send buffer is full. Then space is closed when it has room
// again.
func (p *Plane) sendBufferFull() (full bool, space <-chan struct{}) {
	if p.stored.Load() > int64(p.SendBuffer) {
		space = p.bufferSpace.Next()
		full = p.stored.Load() > int64(p.SendBuffer)
	}
	if !full && p.askedAll.Load() {
		p.askedAll.Store(false)
	}
	return full, space
}

// await waits until one of two channels is closed, ctx ends or the plane closes. A handler that
// waits here gives way first.
func (p *Plane) await(ctx context.Context, one, other <-chan struct{}) error {
	workers.GiveWay(ctx)
	return notify.Wait(ctx, p.ctx, one, other)
}

// maxEarly is how many bytes of frames a stream accepts before its sink has answered, besides one
// message of any size. When every node sends to every other one, answers queue up behind the
// beginnings of other streams, and a source that waits for each of them sends frames that travel
// alone: with 2 KiB, a hundred nodes carried a fifth of what they do with 32 KiB in their first
// half second. With 64 KiB, sources fill their send buffers before the first stream is open.
const maxEarly = 32 << 10

func (p *Plane) tooLarge(n int) error {
	return fmt.Errorf("%w: %d bytes, the ring's limit is %d", ErrTooLarge, n, p.MaxPayload)
}

// Cast sends a message without a stream: it is not numbered, acknowledged or repeated. Cast does
// nothing if ctx has ended. It waits, no longer than ctx, only while the first link is congested.
func (p *Plane) Cast(ctx context.Context, sink uint64, port uint8, body []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(body) > p.MaxPayload {
		return p.tooLarge(len(body))
	}
	if 0 < port && port < wire.FirstRunPort {
		return p.castNamed(ctx, sink, port, body)
	}
	return p.cast(ctx, wire.Header{Type: wire.Cast, Port: port, Dst: sink, Src: p.Self}, body)
}

// castNamed is Cast for a named service. The name takes room of the message.
func (p *Plane) castNamed(ctx context.Context, sink uint64, port uint8, body []byte) error {
	name, err := p.nameOf(port)
	if err != nil {
		return err
	}
	if n := 1 + len(name) + len(body); n > p.MaxPayload {
		return p.tooLarge(n)
	}
	named := wire.AppendNamed(make([]byte, 0, 256), name, body) // on the stack, unless the message is longer
	return p.cast(ctx, wire.Header{Type: wire.Cast, Port: wire.NamedCast, Dst: sink, Src: p.Self}, named)
}

// cast gives a cast to its first link.
func (p *Plane) cast(ctx context.Context, h wire.Header, body []byte) error {
	for {
		if p.closing.Load() {
			return p.why
		}
		w, err := p.towards(h.Dst)
		if w.Link == nil {
			p.countUnplaced(1, err)
			if err == nil {
				p.counters.casts.Add(1)
			}
			return err
		}
		_, queued, due, err := w.Link.AppendFrames(h, w.Detour, [][]byte{body})
		if due {
			w.Link.WriteDirect()
		}
		if !p.countPlaced(w, 1, err) {
			continue
		}
		if queued > w.Link.Low() {
			workers.GiveWay(ctx)
			w.Link.Room(ctx)
		}
		return nil
	}
}
