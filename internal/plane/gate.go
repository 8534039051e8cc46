package plane

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// gate keeps a node quiet that was itself stopped, for so long that the others may
// think it dead: they may have given its place, and its handler's work, to others.
// While it is shut no handler is called and no frame leaves. Whoever owns the plane
// finds out what it is now, and opens the gate or closes the plane.
type gate struct {
	shut  atomic.Bool
	stamp atomic.Int64 // Plane.now at the last sign that the process runs

	mu   sync.Mutex    // guards changes of shut, and
	open chan struct{} // closed when the gate opens
}

// Alive is called by the plane's owner in intervals well below Config.Pause. If the
// last call is longer ago than that then the process was stopped: the gate is shut
// and the answer false, until [Plane.Resume].
func (p *Plane) Alive() bool {
	if p.Pause <= 0 {
		return true
	}
	g := &p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	now := p.now()
	if g.stale(now, p.Pause) { // which it stays once the gate is shut
		g.close()
		return false
	}
	g.stamp.Store(int64(now))
	return true
}

// Resume opens the gate.
func (p *Plane) Resume() {
	g := &p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stamp.Store(int64(p.now()))
	if g.shut.Load() {
		g.shut.Store(false)
		close(g.open)
	}
}

func (g *gate) stale(now, pause time.Duration) bool {
	return now-time.Duration(g.stamp.Load()) > pause
}

// close needs mu.
func (g *gate) close() {
	if !g.shut.Load() {
		g.open = make(chan struct{})
		g.shut.Store(true)
	}
}

// pass waits while the gate is shut, and shuts it if it should be. It also returns
// when the plane closes.
func (p *Plane) pass(ctx context.Context) {
	g := &p.gate
	if p.Pause <= 0 || !g.stale(p.now(), p.Pause) {
		return
	}
	for {
		g.mu.Lock()
		if !g.stale(p.now(), p.Pause) { // Resume was faster
			g.mu.Unlock()
			return
		}
		g.close()
		open := g.open
		g.mu.Unlock()
		giveWay(ctx)
		select {
		case <-open:
		case <-p.ctx.Done():
			return
		}
	}
}
