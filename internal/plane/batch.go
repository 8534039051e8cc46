package plane

import (
	"context"
	"slices"

	"github.com/x/ringdht/internal/wire"
)

// batch is how many messages at most are taken under one lock, if they are short, see
// [link.Writer.AppendFrames]. Who relays over the same link, or brings acknowledgements,
// waits for them, about as long as for the copy of what one read has brought; and more
// would save little more.
const batch = 64

// SendBatch is [Plane.Send] for many messages, of which those that an allowance covers
// take the lock of their stream together: a dozen, if they are short. It returns how many
// are accepted; an error is about the next one.
func (p *Plane) SendBatch(ctx context.Context, sink uint64, port uint8, bodies [][]byte) (accepted int, err error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	for accepted < len(bodies) {
		// No allowance covers a long one, which would take the lock twice.
		if o := p.outboundTo(sink); o != nil && len(bodies[accepted]) < claimAhead {
			accepted += o.admit(port, bodies[accepted:min(len(bodies), accepted+batch)])
		}
		if accepted == len(bodies) {
			break
		}
		// What bounds a stream has to be looked at for this one, and maybe waited for.
		if err := p.Send(ctx, sink, port, bodies[accepted]); err != nil {
			return accepted, err
		}
		accepted++
	}
	return accepted, nil
}

// admit admits the first of some messages, as far as the allowance covers them, and says how many.
func (o *outbound) admit(port uint8, bodies [][]byte) (n int) {
	o.mu.Lock() // not lock: this is what the allowance is for
	defer o.mu.Unlock()
	if o.by != o.p.routes.Load() {
		return 0
	}
	for _, body := range bodies {
		size := wire.HeaderSize + len(body)
		if size > o.left || o.p.tooLong(body) {
			break
		}
		o.left -= size
		o.s.Admit(port, body)
		o.stretch(size)
		n++
	}
	return n
}

// CastBatch is [Plane.Cast] for many messages, which take the lock of their link
// together. It returns how many it has sent; an error is about the next one. When it has
// waited, and ctx has ended, it does not go on, nor when the plane closes.
func (p *Plane) CastBatch(ctx context.Context, sink uint64, port uint8, bodies [][]byte) (sent int, err error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	h := wire.Header{Type: wire.Cast, Port: port, Dst: sink, Src: p.Self}
	for sent < len(bodies) {
		part := bodies[sent:min(len(bodies), sent+batch)]
		if i := slices.IndexFunc(part, p.tooLong); i >= 0 {
			if part = part[:i]; i == 0 {
				return sent, p.tooLarge(len(bodies[sent]))
			}
		}
		if p.closing.Load() {
			return sent, p.why
		}
		w, err := p.castWay(sink)
		if w.link == nil {
			if err != nil {
				p.nowhere(1, err)
				return sent, err
			}
			p.nowhere(int64(len(part)), nil)
			p.counters.casts.Add(int64(len(part)))
			sent += len(part)
			continue
		}
		taken, queued, due, err := w.link.AppendFrames(h, w.detour, part)
		if due {
			w.link.WriteDirect()
		}
		taken = max(taken, 1) // the first is lost if there was no room for it
		if !p.placed(w, int64(taken), err) {
			continue
		}
		sent += taken
		if queued > w.link.Low() {
			giveWay(ctx)
			w.link.Room(ctx)
			if sent < len(bodies) && ctx.Err() != nil {
				return sent, context.Cause(ctx)
			}
		}
	}
	return sent, nil
}

func (p *Plane) tooLong(body []byte) bool { return len(body) > p.MaxPayload }
