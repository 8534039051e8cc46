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
type fence struct {
	up      atomic.Bool
	lastRun moment // the last sign that the process runs

	mu      sync.Mutex // guards changes of shut
	lowered notify.Change
}

// stamp is a moment on both clocks. Reading it between the two stores does no harm: the
// moments lie well within Config.Pause of each other.
type moment struct{ ran, day atomic.Int64 }

func (s *moment) set(ran, day time.Duration) {
	s.ran.Store(int64(ran))
	s.day.Store(int64(day))
}

// ago is how long ago the moment was, by the clock on which it was longer.
func (s *moment) since(ran, day time.Duration) time.Duration {
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
	g := &p.fence
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.suspended() { // which it stays once the gate is shut
		g.raise()
		return false
	}
	g.lastRun.set(p.clocks())
	return true
}

// Resume opens the gate.
func (p *Plane) Resume() {
	g := &p.fence
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lastRun.set(p.clocks())
	if g.up.Load() {
		g.up.Store(false)
		g.lowered.Broadcast()
	}
}

// stale says that the process was stopped. Once the gate is shut for that it stays so.
func (p *Plane) suspended() bool {
	return p.fence.up.Load() || p.fence.lastRun.since(p.clocks()) > p.Pause
}

// close needs mu.
func (f *fence) raise() {
	if !f.up.Load() {
		f.up.Store(true)
	}
}

// pass waits while the gate is shut, and shuts it if it should be. It also returns
// when the plane closes.
func (p *Plane) awaitFence(ctx context.Context) {
	g := &p.fence
	if p.Pause <= 0 || !p.suspended() {
		return
	}
	for {
		g.mu.Lock()
		if !p.suspended() { // Resume was faster
			g.mu.Unlock()
			return
		}
		g.raise()
		opened := g.lowered.Next()
		g.mu.Unlock()
		giveWay(ctx)
		select {
		case <-opened:
		case <-p.ctx.Done():
			return
		}
	}
}
