package plane

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/x/ringdht/internal/stream"
)

// timers holds the streams that wait for an answer.
type timers struct {
	mu      sync.Mutex
	all     []*outbound
	running bool // the goroutine that calls tick runs

	reach uint64 // owned by that goroutine: [peers.Snapshot.Reach] when it ticked last
}

// startTicking calls a stream's tick from now on. The stream's lock may be held.
func (p *Plane) startTicking(o *outbound) {
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

// tick runs on a goroutine of its own while any stream waits for an answer.
func (p *Plane) tick() {
	t := &p.timers
	// Many nodes often start to wait at the same moment. Without the random offset, all nodes of
	// a process or machine would ask at once.
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
		// Where routes have changed, streams that have asked in vain ask at once.
		reach := p.Routes().Reach
		hurry := reach != t.reach
		t.reach = reach
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

// tick reports whether the stream still waits.
func (o *outbound) tick(hurry bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.s.Waiting() {
		o.ticking = false
		o.checkStuck()
		return false
	}
	o.checkStuck()
	if hurry {
		o.askAgain()
	}
	o.transmit(o.s.Tick(o.p.now(), o.scratch[:0]))
	return true
}
