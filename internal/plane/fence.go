package plane

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/notify"
)

// gate keeps a node quiet that was itself stopped, for so long that the others may
// think it dead: they may have given its place, and its handler's work, to others.
// While it is shut no handler is called and no frame leaves. Whoever owns the plane
// finds out what it is now, and opens the gate or closes the plane.
//
// How long it was stopped is read from two clocks. The one that time is measured with stands
// still while a machine is suspended; that of the day goes on, but may be set. Set
// forward, it costs a question; set back, it changes nothing.
type gate struct {
	shut  atomic.Bool
	stamp stamp // the last sign that the process runs

	mu     sync.Mutex // guards changes of shut
	opened notify.Change
}

// stamp is a moment on both clocks. Reading it between the two stores does no harm: the
// moments lie well within Config.Pause of each other.
type stamp struct{ ran, day atomic.Int64 }

func (s *stamp) set(ran, day time.Duration) {
	s.ran.Store(int64(ran))
	s.day.Store(int64(day))
}

// ago is how long ago the moment was, by the clock on which it was longer.
func (s *stamp) ago(ran, day time.Duration) time.Duration {
	return max(ran-time.Duration(s.ran.Load()), day-time.Duration(s.day.Load()))
}

// clocks reads both clocks: [Plane.now], and the time of day.
func (p *Plane) clocks() (ran, day time.Duration) {
	now := time.Now()
	ran = now.Sub(p.start) + 1
	if p.Wall != nil {
		now = p.Wall()
	}
	return ran, time.Duration(now.UnixNano())
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
	if p.stale() { // which it stays once the gate is shut
		g.close()
		return false
	}
	g.stamp.set(p.clocks())
	return true
}

// Resume opens the gate.
func (p *Plane) Resume() {
	g := &p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stamp.set(p.clocks())
	if g.shut.Load() {
		g.shut.Store(false)
		g.opened.Broadcast()
	}
}

// stale says that the process was stopped. Once the gate is shut for that it stays so.
func (p *Plane) stale() bool { return p.gate.shut.Load() || p.gate.stamp.ago(p.clocks()) > p.Pause }

// close needs mu.
func (g *gate) close() {
	if !g.shut.Load() {
		g.shut.Store(true)
	}
}

// pass waits while the gate is shut, and shuts it if it should be. It also returns
// when the plane closes.
func (p *Plane) pass(ctx context.Context) {
	g := &p.gate
	if p.Pause <= 0 || !p.stale() {
		return
	}
	for {
		g.mu.Lock()
		if !p.stale() { // Resume was faster
			g.mu.Unlock()
			return
		}
		g.close()
		opened := g.opened.Next()
		g.mu.Unlock()
		giveWay(ctx)
		select {
		case <-opened:
		case <-p.ctx.Done():
			return
		}
	}
}
