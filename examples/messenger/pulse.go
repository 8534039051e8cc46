package main

import (
	"context"
	"sync"
	"time"
)

// pulse knows whether this process has just been stopped for a while: by a signal, or with its
// machine. Its connections may have ended meanwhile, and that is not the fault of the others.
type pulse struct {
	mu     sync.Mutex
	last   time.Time     // the latest beat
	woke   time.Time     // the end of the latest pause,
	paused time.Duration // of this length
}

const (
	beat = 250 * time.Millisecond
	// leastPause is the shortest pause that is told. A busy machine delays beats, too.
	leastPause = 1500 * time.Millisecond
	// aftermath is how long after a pause connections that end are its consequence.
	aftermath = 10 * time.Second
)

// run beats until ctx ends.
func (p *pulse) run(ctx context.Context) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		p.beat(time.Now())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// beat notes that the process runs. It compares times of day: a machine that sleeps may stop its
// monotonic clock.
func (p *pulse) beat(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(now.Round(0))
}

func (p *pulse) note(now time.Time) {
	if gap := now.Sub(p.last); !p.last.IsZero() && gap >= leastPause {
		p.woke, p.paused = now, gap
	}
	p.last = now
}

// pause returns the length of a pause that has just ended, or 0. It tells a pause once: what is
// lost later is not its consequence.
func (p *pulse) pause(now time.Time) (length time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now = now.Round(0)
	p.note(now)
	if now.Sub(p.woke) <= aftermath {
		length = p.paused
	}
	p.paused = 0
	return length
}
