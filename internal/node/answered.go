package node

import (
	"sync"
	"time"

	"github.com/x/ringdht/internal/handshake"
)

// pulse knows since when the registry cannot have missed the node: it was alive to the
// registry when it sent the latest beat that was answered. That something comes from the
// registry would not do: the other direction may be cut.
type pulse struct {
	mu      sync.Mutex
	waiting []time.Time // when the beats were sent that are not answered
	skipped int         // and how many after them are not remembered
	alive   time.Time
	woke    time.Time // when this process found that it had been stopped, until it knows that it is a member
}

// begin starts anew, with a registration sent at asked and answered.
func (p *pulse) begin(asked time.Time) {
	p.mu.Lock()
	p.waiting, p.skipped, p.alive, p.woke = nil, 0, asked, time.Time{}
	p.mu.Unlock()
}

// maxWaiting bounds the beats that are remembered: while there is no registry nobody
// answers. One that is not remembered counts as not answered.
const maxWaiting = 16

func (p *pulse) asked(now time.Time) {
	p.mu.Lock()
	if len(p.waiting) < maxWaiting && p.skipped == 0 {
		p.waiting = append(p.waiting, now)
	} else {
		p.skipped++
	}
	p.mu.Unlock()
}

// answered takes the answer to the oldest beat, and says whether that was sent after the
// process had been stopped, so that it is a member still.
func (p *pulse) answered() (confirmed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.skipped = max(0, p.skipped-1)
		return false
	}
	p.alive = p.waiting[0]
	p.waiting = p.waiting[1:]
	if confirmed = !p.woke.IsZero() && !p.alive.Before(p.woke); confirmed {
		p.woke = time.Time{}
	}
	return confirmed
}

// wakes takes note that the process was stopped, and says whether that is new.
func (p *pulse) wakes(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.woke.IsZero() {
		return false
	}
	p.woke = now
	return true
}

// age is how long ago that was at the time now.
func (p *pulse) age(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return handshake.Elapsed(p.alive, now)
}
