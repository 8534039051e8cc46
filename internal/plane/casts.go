package plane

import (
	"context"
	"sync"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/internal/workers"
)

// castInbox holds messages that came without a stream.
type castInbox struct {
	mu        sync.Mutex
	q         fifo.Queue
	held      int // bytes waiting or with the handler
	limit     int
	drained   int64 // bytes handled since the start
	scheduled bool
	turn      workers.Turn
	throttle  link.Throttle
}

// add keeps as many of the casts as fit into room. It returns their bytes and whether a handler
// must be called.
func (c *castInbox) add(frames []byte, room int) (kept int, ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept = wire.Fit(frames, min(room, c.limit-c.held))
	if kept == 0 {
		return 0, false
	}
	c.held += kept
	c.q.Append(frames[:kept])
	ready = !c.scheduled
	c.scheduled = true
	return kept, ready
}

// crowded reports whether the inbox is more than a quarter full, and how many bytes have left it.
func (c *castInbox) crowded() (yes bool, drained int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held > c.limit/4, c.drained
}

func (c *castInbox) handled(bytes int) {
	c.mu.Lock()
	c.held -= bytes
	c.drained += int64(bytes)
	c.mu.Unlock()
}

func (p *Plane) deliverCasts(ctx context.Context) workers.Span {
	c := &p.casts
	c.mu.Lock()
	q := c.q.Take()
	c.mu.Unlock()
	took := p.deliverQueue(ctx, &q, nil)
	c.mu.Lock()
	more := c.q.Size() > 0
	c.scheduled = more
	c.mu.Unlock()
	if more {
		p.workers.Push(&c.turn)
	} else if p.incomingCut.Load() || p.draining.Load() {
		p.changes.Broadcast()
	}
	return took
}
