package plane

import (
	"context"
	"time"

	"github.com/x/ringdht/internal/peers"
)

// Drain retires the links and returns when all is done: every incoming link has ended (the peers
// have removed this node from their tables) or had time to, everything received has been handled
// and acknowledged, and the links have written all they hold. It waits no longer than ctx.
// Sources that have not confirmed the end of their stream receive a farewell once more.
//
// It is the last part of an orderly leave, after [Plane.CloseIncoming]: no answer can come any more.
func (p *Plane) Drain(ctx context.Context) error {
	p.draining.Store(true)
	if err := p.awaitPeersEnded(ctx); err != nil {
		return err
	}
	if err := p.awaitChange(ctx, p.allHandled); err != nil {
		return err
	}
	p.cutAll()
	return p.Retire(ctx)
}

// awaitPeersEnded waits until the incoming links have ended. A peer that has removed this node
// from its table writes what it holds and sends End. A peer that leaves as well keeps its link,
// since it is given no other table. So a node whose own streams have ended ([Plane.StopSending]), and
// that only relays, stops waiting when nothing has come over any link for quietTime: what might
// still come is repeated by another way. A peer that has not sent End within peers.RetireTimeout is
// stuck, and is not waited for.
func (p *Plane) awaitPeersEnded(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, peers.RetireTimeout)
	defer cancel()
	for seen := int64(-1); ; {
		look, done := context.WithTimeout(patience, quietTime)
		err := p.AwaitPeersEnded(look)
		again := look.Err() != nil
		done()
		frames := p.counters.frames.Load()
		switch {
		case !again || ctx.Err() != nil:
			return err
		case patience.Err() != nil || frames == seen && p.sendingStopped.Load():
			return nil
		}
		seen = frames
	}
}

// quietTime is much longer than a peer takes to send End.
const quietTime = 250 * time.Millisecond

// awaitChange waits until done returns true. It looks again whenever changes is announced.
func (p *Plane) awaitChange(ctx context.Context, done func() bool) error {
	for {
		changes := p.changes.Next()
		if done() {
			p.mu.RLock()
			defer p.mu.RUnlock()
			return p.why // nil, unless done is true because the plane closed
		}
		if err := p.await(ctx, changes, nil); err != nil {
			return err
		}
	}
}

// allHandled reports whether handlers have nothing to do.
func (p *Plane) allHandled() bool {
	busy := false
	for i := range p.services {
		c := &p.services[i].casts
		c.mu.Lock()
		busy = busy || c.scheduled
		c.mu.Unlock()
	}
	for _, in := range p.incomingStreams() {
		in.mu.Lock()
		busy = busy || in.scheduled
		in.mu.Unlock()
	}
	return !busy
}

// incomingStreams lists the streams from these sources, or all if none are given.
func (p *Plane) incomingStreams(sources ...uint64) []*inbound {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if len(sources) == 0 {
		return p.inbounds.all()
	}
	var some []*inbound
	for _, source := range sources {
		some = p.inbounds.of(source, some)
	}
	return some
}
