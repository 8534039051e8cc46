package plane

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/stream"
)

// timers holds the streams to which time matters.
type timers struct {
	mu      sync.Mutex
	all     []*outbound
	running bool // the goroutine that looks at the clock

	hurry atomic.Bool // the ways have changed: those that ask in vain need not wait
}

// time looks after a stream from now on. It may be called with the outbound's mu held.
func (p *Plane) time(o *outbound) {
	t := &p.timers
	t.mu.Lock()
	t.all = append(t.all, o)
	start := !t.running
	t.running = true
	t.mu.Unlock()
	if start {
		p.background(p.tick)
	}
}

// tick is a goroutine, which exists only while some stream waits for something.
func (p *Plane) tick() {
	t := &p.timers
	// What makes streams ask at a tick is often the same at many nodes: in one process
	// or on one machine all of them would ask at once.
	timer := time.NewTimer(rand.N(stream.TickInterval))
	defer timer.Stop()
	for {
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
		t.running = len(t.all) > 0
		idle := !t.running
		t.mu.Unlock()
		if idle {
			return
		}
		timer.Reset(stream.TickInterval)
	}
}

// tick says whether time still matters to the stream.
func (o *outbound) tick(hurry bool) bool {
	o.lock()
	defer o.mu.Unlock()
	if !o.s.Waiting() {
		o.timed = false
		return false
	}
	if hurry {
		o.s.PathChanged(o.p.now())
	}
	o.flush(o.s.Tick(o.p.now(), o.out[:0]))
	return true
}
