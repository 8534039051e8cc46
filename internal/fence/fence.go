// Package fence notices that this process was suspended.
//
// The other nodes may have declared this node dead meanwhile, and given its place and its handler's
// work to others. While the fence is up, its owner calls no handler and lets no frame leave. It finds
// out whether the node is still a member, and then lowers the fence or ends the node.
//
// Two clocks measure for how long the process was suspended. The monotonic clock stops while a
// machine is suspended. The wall clock does not, but it may be set: forward, that costs a question;
// back, it changes nothing. The caller reads both, so the package has no clock.
package fence

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/notify"
)

// Fence goes up once this process was suspended for longer than a limit, and stays up until
// [Fence.Lower]. All methods may be called at the same time. Its lock is a leaf.
type Fence struct {
	limit time.Duration // static; 0: the fence never goes up

	up atomic.Bool
	// The last sign that the process runs, by both clocks. It does no harm to read them between
	// two stores: the two times lie well within limit of each other.
	ran, day atomic.Int64

	mu      sync.Mutex // guards changes of up
	lowered notify.Change
}

// Start sets the limit, 0 for none. It comes before all other calls.
func (f *Fence) Start(limit, ran, day time.Duration) {
	f.limit = limit
	f.alive(ran, day)
}

// Up reports whether the fence is up.
func (f *Fence) Up() bool { return f.up.Load() }

// Running is called at intervals well below the limit, with the time on both clocks. If the last
// call was longer ago than the limit, Running raises the fence. It returns false while it is up.
func (f *Fence) Running(ran, day time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.suspended(ran, day) {
		f.up.Store(true)
		return false
	}
	f.alive(ran, day)
	return true
}

// Lower lowers the fence.
func (f *Fence) Lower(ran, day time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alive(ran, day)
	if f.up.Swap(false) {
		f.lowered.Broadcast()
	}
}

// Check raises the fence if it should be up. Then it returns a channel that is closed when the fence
// is lowered, else nil.
func (f *Fence) Check(ran, day time.Duration) (lowered <-chan struct{}) {
	if !f.suspended(ran, day) {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.suspended(ran, day) { // Lower was faster
		return nil
	}
	f.up.Store(true)
	return f.lowered.Next()
}

// suspended reports whether the fence should be up. By the clock on which it is longer, the last
// sign of life is longer ago than the limit.
func (f *Fence) suspended(ran, day time.Duration) bool {
	return f.up.Load() || f.limit > 0 && max(ran-time.Duration(f.ran.Load()), day-time.Duration(f.day.Load())) > f.limit
}

func (f *Fence) alive(ran, day time.Duration) {
	f.ran.Store(int64(ran))
	f.day.Store(int64(day))
}
