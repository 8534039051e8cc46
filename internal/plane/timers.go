package plane

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/stream"
)

// tickInterval is how often the streams that wait for something look at the
// clock: finely enough for the shortest timeout, stream.MinRTO.
const tickInterval = stream.MinRTO / 4

// timers holds the streams to which time matters.
type timers struct {
	mu   sync.Mutex
	all  []*outbound
	wake chan struct{}

	hurry atomic.Bool // the ways have changed: those that ask in vain need not wait
}

// add may be called with the outbound's mu held.
func (t *timers) add(o *outbound) {
	t.mu.Lock()
	t.all = append(t.all, o)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// tick is a goroutine. It sleeps for good while no stream waits for anything.
func (p *Plane) tick() {
	t := &p.timers
	timer := time.NewTimer(tickInterval)
	defer timer.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-t.wake:
		}
		for {
			timer.Reset(tickInterval)
			select {
			case <-p.ctx.Done():
				return
			case <-timer.C:
			}
			t.mu.Lock()
			all := t.all
			t.all = nil
			t.mu.Unlock()
			hurry := t.hurry.Swap(false)
			for _, o := range all {
				if o.tick(hurry) {
					t.mu.Lock()
					t.all = append(t.all, o)
					t.mu.Unlock()
				}
			}
			t.mu.Lock()
			idle := len(t.all) == 0
			t.mu.Unlock()
			if idle {
				break
			}
		}
	}
}

// tick says whether time still matters to the stream.
func (o *outbound) tick(hurry bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.s.Waiting() {
		o.timed = false
		return false
	}
	if hurry {
		o.s.Hurry(o.p.now())
	}
	o.flush(o.s.Tick(o.p.now(), o.out[:0]))
	return true
}
