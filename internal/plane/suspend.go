package plane

import (
	"context"
	"time"

	"github.com/x/ringdht/internal/workers"
)

// clocks reads both clocks of the fence: [Plane.now] and the time of day.
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
// returns false until [Plane.LowerFence]. While the fence is up, no handler is called and no frame
// leaves.
func (p *Plane) Running() bool { return p.fence.Running(p.clocks()) }

// LowerFence lowers the fence.
func (p *Plane) LowerFence() { p.fence.Lower(p.clocks()) }

// awaitFence waits while the fence is up, and raises it if it should be. It also returns when the
// plane closes.
func (p *Plane) awaitFence(ctx context.Context) {
	for p.MaxSuspension > 0 {
		lowered := p.fence.Check(p.clocks())
		if lowered == nil {
			return
		}
		workers.GiveWay(ctx)
		select {
		case <-lowered:
		case <-p.ctx.Done():
			return
		}
	}
}
