package node

import (
	"sync"
	"time"

	"github.com/x/ringdht/internal/handshake"
)

// contact knows since when the registry cannot have missed the node: it was alive to the
// registry when it sent the latest beat that was answered. That something comes from the
// registry would not do: the other direction may be cut.
type contact struct {
	mu           sync.Mutex
	unanswered   []time.Time // when the beats were sent that are not answered
	unremembered int         // and how many after them are not remembered
	heard        time.Time
	resumed      time.Time // when this process found that it had been stopped, until it knows that it is a member
}

// restart starts anew, with a registration sent at asked and answered.
func (p *contact) restart(asked time.Time) {
	p.mu.Lock()
	p.unanswered, p.unremembered, p.heard, p.resumed = nil, 0, asked, time.Time{}
	p.mu.Unlock()
}

// maxUnanswered bounds the beats that are remembered: while there is no registry nobody
// answers. One that is not remembered counts as not answered.
const maxUnanswered = 16

func (p *contact) sent(now time.Time) {
	p.mu.Lock()
	if len(p.unanswered) < maxUnanswered && p.unremembered == 0 {
		p.unanswered = append(p.unanswered, now)
	} else {
		p.unremembered++
	}
	p.mu.Unlock()
}

// answered takes the answer to the oldest beat, and says whether that was sent after the
// process had been stopped, so that it is a member still.
func (p *contact) answered() (confirmed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unanswered) == 0 {
		p.unremembered = max(0, p.unremembered-1)
		return false
	}
	p.heard = p.unanswered[0]
	p.unanswered = p.unanswered[1:]
	if confirmed = !p.resumed.IsZero() && !p.heard.Before(p.resumed); confirmed {
		p.resumed = time.Time{}
	}
	return confirmed
}

// suspended takes note that the process was stopped, and says whether that is new.
func (p *contact) suspended(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.resumed.IsZero() {
		return false
	}
	p.resumed = now
	return true
}

// age is how long ago that was at the time now.
func (p *contact) age(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return handshake.Elapsed(p.heard, now)
}
