package plane

import (
	"context"
	"errors"
	"fmt"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// Why a message was not accepted.
var (
	ErrTooLarge = errors.New("message too large")
	ErrBacklog  = errors.New("too much sent by handlers is waiting")
)

// Send accepts a message for a sink: when it returns nil the message is numbered
// and kept until the sink's handler is done with it. With a ctx that has ended it does
// nothing. It waits, for ctx, while the
// window is full, the send buffer is full or the first link is congested, and while
// the stream to a sink opens that is not known to exist.
//
// With the context of one of this plane's handlers it does not wait for the
// window: two nodes whose handlers wait for each other's would wait for ever.
// What the window does not allow joins the handler backlog, and when that is
// full the error is [ErrBacklog]. Other senders wait as long as the stream has a backlog,
// which keeps it short.
func (p *Plane) Send(ctx context.Context, sink uint64, port uint8, body []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(body) > p.MaxPayload {
		return p.tooLarge(len(body))
	}
	var waitedFor *outbound // whose end is this call's business
	for {
		o, opened, err := p.outbound(sink)
		if err != nil {
			return err
		}
		o.mu.Lock()
		if o.allowed(port, body) {
			return nil
		}
		if p.hushed.Load() {
			o.mu.Unlock()
			return ErrHushed
		}
		var space <-chan struct{}
		full := p.stored.Load() > int64(p.SendBuffer)
		if full {
			space = p.space.wait()
			full = p.stored.Load() > int64(p.SendBuffer)
		}
		if !full && p.asking.Load() {
			p.asking.Store(false)
		}
		switch o.s.State() {
		case stream.Open:
			// No sink may fill the send buffer alone: while it is slow the others get
			// theirs. An empty stream may always send one message, so that a full
			// buffer delays a source and cannot stop it.
			share := o.bytes+len(body) <= p.SendBuffer/4
			room, congested := o.s.Room(len(body)), o.congested()
			if room && congested == nil && (share && !full || o.s.Pending() == 0) {
				due := o.push(port, body)
				o.mu.Unlock()
				if due != nil {
					due.WriteDirect()
				}
				return nil
			}
			if ctx.Value(handlerKey{}) == p {
				err := o.pushBacklog(port, body)
				o.mu.Unlock()
				return err
			}
			if full && p.asking.CompareAndSwap(false, true) {
				o.mu.Unlock()
				p.askAll()
				continue
			}
			if !room || full || !share {
				o.flush(o.s.Ask(p.now(), o.out[:0]))
			}
			if congested != nil {
				space = congested
			}
		case stream.Opening:
			// A sink that exists will answer, so a few messages need not wait for it.
			// In a ring of many nodes a source that waited for each sink's answer
			// would spend its time waiting.
			early := o.s.Pending() == 0 || o.bytes+wire.HeaderSize+len(body) <= maxEarly
			if !full && early && p.known(sink) {
				o.pushEarly(port, body)
				o.mu.Unlock()
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
// the contexts is done. A channel that is closed comes first, so that a caller whose
// context has ended still looks at what has happened before that.
func wait(ctx, plane context.Context, one, other <-chan struct{}) error {
	giveWay(ctx)
	var err error
	select {
	case <-one:
		return nil
	case <-other:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-plane.Done():
		err = context.Cause(plane)
	}
	select {
	case <-one:
		return nil
	case <-other:
		return nil
	default:
		return err
	}
}

// maxEarly is how many bytes of frames are accepted for a stream before its sink
// has answered, besides one message of any size. In a ring where everybody talks to
// everybody the answers queue up behind other streams' beginnings, and a source that
// waits for each of them sends frames that travel alone: with 2 KiB a hundred nodes
// carried a fifth of what they do with 32 KiB in their first half second. With 64 KiB
// the sources fill their send buffers before the first stream is open.
const maxEarly = 32 << 10

func (p *Plane) tooLarge(n int) error {
	return fmt.Errorf("%w: %d bytes, the ring's limit is %d", ErrTooLarge, n, p.MaxPayload)
}

// Cast sends a message without a stream: nobody numbers, acknowledges or repeats
// it. With a ctx that has ended it does nothing. It waits, for ctx, only while the first link is congested.
func (p *Plane) Cast(ctx context.Context, sink uint64, port uint8, body []byte) error {
	_, err := p.CastBatch(ctx, sink, port, [][]byte{body})
	return err
}

// castWay is [Plane.towards], short where all is well.
func (p *Plane) castWay(sink uint64) (way, error) {
	s := p.routes.Load()
	if i := ring.ClosestPreceding(p.mask, p.Self, sink, s.Up); i >= 0 && !p.gate.shut.Load() {
		return s.ways[i], nil
	}
	return p.towards(sink)
}
