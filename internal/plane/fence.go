package plane

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/notify"
)

// fence blocks sending and delivery after this process was suspended for longer than
// Config.MaxSuspension. The other nodes may have declared this node dead meanwhile, and given its place
// and its handler's work to others. While the fence is up, no handler is called and no frame
// leaves. The plane's owner finds out whether the node is still a member, and then lowers the
// fence or closes the plane.
//
// Two clocks measure for how long the process was suspended. The monotonic clock stops while a
// machine is suspended. The wall clock does not, but it may be set: forward, that costs a
// question; back, it changes nothing.
type fence struct {
	up      atomic.Bool
	lastRun moment // the last sign that the process runs

	mu      sync.Mutex // guards changes of up
	lowered notify.Change
}

// moment is a time on both clocks. It does no harm to read it between the two stores: the two
// times lie well within Config.MaxSuspension of each other.
type moment struct{ ran, day atomic.Int64 }

func (s *moment) set(ran, day time.Duration) {
	s.ran.Store(int64(ran))
	s.day.Store(int64(day))
}

// since is the time since the moment, by the clock on which it is longer.
func (s *moment) since(ran, day time.Duration) time.Duration {
	return max(ran-time.Duration(s.ran.Load()), day-time.Duration(s.day.Load()))
}

// clocks reads both clocks: [Plane.now] and the time of day.
func (p *Plane) clocks() (ran, day time.Duration) {
	now := time.Now()
	ran = now.Sub(p.start) + 1
	if p.Wall != nil {
		now = p.Wall()
	}
	return ran, time.Duration(now.UnixNano())
}

// Running is called by the plane's owner at intervals well below Config.MaxSuspension. If the last
// call was longer ago than that, the process was suspended. Then Running raises the fence, and
// returns false until [Plane.LowerFence].
func (p *Plane) Running() bool {
	if p.MaxSuspension <= 0 {
		return true
	}
	f := &p.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.suspended() { // stays so while the fence is up
		f.raise()
		return false
	}
	f.lastRun.set(p.clocks())
	return true
}

// LowerFence lowers the fence.
func (p *Plane) LowerFence() {
	f := &p.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastRun.set(p.clocks())
	if f.up.Load() {
		f.up.Store(false)
		f.lowered.Broadcast()
	}
}

// suspended reports whether the process was suspended. It stays true while the fence is up.
func (p *Plane) suspended() bool {
	return p.fence.up.Load() || p.fence.lastRun.since(p.clocks()) > p.MaxSuspension
}

// raise needs mu.
func (f *fence) raise() {
	if !f.up.Load() {
		f.up.Store(true)
	}
}

// awaitFence waits while the fence is up, and raises it if it should be. It also returns when the
// plane closes.
func (p *Plane) awaitFence(ctx context.Context) {
	f := &p.fence
	if p.MaxSuspension <= 0 || !p.suspended() {
		return
	}
	for {
		f.mu.Lock()
		if !p.suspended() { // LowerFence was faster
			f.mu.Unlock()
			return
		}
		f.raise()
		opened := f.lowered.Next()
		f.mu.Unlock()
		giveWay(ctx)
		select {
		case <-opened:
		case <-p.ctx.Done():
			return
		}
	}
}
