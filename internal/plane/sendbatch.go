package plane

import (
	"context"

	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// SendBatch is [Plane.Send] for each body in turn, until one is not accepted. It returns how many
// were, and why the next was not. Those that fit at once are accepted under one lock: short ones
// then cost their source half as much.
func (p *Plane) SendBatch(ctx context.Context, sink uint64, port uint8, bodies [][]byte) (accepted int, err error) {
	for accepted < len(bodies) {
		if err := p.Send(ctx, sink, port, bodies[accepted]); err != nil { // it knows all reasons to wait
			return accepted, err
		}
		accepted++
		if o := p.findOutbound(sink, wire.StreamPort(port)); o != nil {
			accepted += o.admitSome(port, bodies[accepted:])
		}
	}
	return accepted, nil
}

// maxRun is how many messages are accepted under one lock. The link pulls from the stream under the
// same lock, and its reader takes answers in: without a bound they waited for 50,000 short messages.
const maxRun = 64

// admitSome accepts messages while they fit, up to maxRun, and until a write is due. It returns how
// many.
func (o *outbound) admitSome(port uint8, bodies [][]byte) (n int) {
	var due *peers.Link
	bodies = bodies[:min(len(bodies), maxRun)]
	o.mu.Lock()
	for n < len(bodies) && due == nil && o.fits(len(bodies[n])) {
		due = o.admit(port, bodies[n])
		n++
	}
	o.mu.Unlock()
	if due != nil {
		due.WriteDirect()
	}
	return n
}

// fits reports whether nothing keeps a message of n bytes waiting. It needs mu.
func (o *outbound) fits(n int) bool {
	p := o.p
	return o.s.State() == stream.Open && n <= p.MaxPayload && !p.sendingStopped.Load() && o.s.Room(n) &&
		o.bytes+n <= p.SendBuffer/4 && p.stored.Load() <= int64(p.SendBuffer) && o.congested() == nil
}
