package plane

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/x/ringdht/internal/stream"
)

// timers holds the streams that wait for an answer. A tick looks at some of them, in turn. To look at a
// stream takes it into the processor's cache. In a ring of a hundred, looking at all of them each
// tick took a tenth of all processor time, and their questions crossed more links than the messages.
type timers struct {
	mu      sync.Mutex
	waiting []*outbound // those that were looked at last are behind
	running bool        // the goroutine that calls tick runs

	reach uint64 // owned by that goroutine: [peers.Snapshot.Reach] when it ticked last
}

// startTicking calls a stream's tick from now on. The stream's lock may be held.
func (p *Plane) startTicking(o *outbound) {
	t := &p.timers
	t.mu.Lock()
	t.waiting = append(t.waiting, o)
	start := !t.running
	t.running = true
	t.mu.Unlock()
	if start {
		p.background(p.tick)
	}
}

// Each stream has its turn once in so many ticks: one, where a node has fewer than ten that wait, and
// one for every five of them beyond, up to maxTurn. So a timeout comes late by as much.
const (
	sharesTick = 5
	maxTurn    = 20
)

// looks returns at how many of the waiting streams a tick looks.
func looks(waiting int) int {
	turn := min(max(waiting/sharesTick, 1), maxTurn)
	return (waiting + turn - 1) / turn
}

// tick runs on a goroutine of its own while any stream waits for an answer.
func (p *Plane) tick() {
	t := &p.timers
	// Many nodes often start to wait at the same moment. Without the random offset, all nodes of
	// a process or machine would ask at once.
	timer := time.NewTimer(rand.N(stream.TickInterval))
	defer timer.Stop()
	var some []*outbound
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
		}
		// Where routes have changed, streams that have asked in vain ask at once.
		reach := p.Routes().Reach
		hurry := reach != t.reach
		t.reach = reach
		t.mu.Lock()
		n := looks(len(t.waiting))
		if hurry {
			n = len(t.waiting)
		}
		some = append(some[:0], t.waiting[:n]...)
		t.waiting = slices.Delete(t.waiting, 0, n)
		t.mu.Unlock()
		some = slices.DeleteFunc(some, func(o *outbound) bool { return !o.tick(hurry) })
		t.mu.Lock()
		t.waiting = append(t.waiting, some...)
		t.running = len(t.waiting) > 0
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
