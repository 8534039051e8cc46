// Package backoff spaces out attempts that keep failing.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Backoff is the delay before the next attempt: Min at first, then twice as long each time,
// and never longer than Max. Min and Max may change at any time. It belongs to one goroutine.
type Backoff struct {
	Min, Max time.Duration
	delay    time.Duration // of the last Next; 0 before the first
}

// Next returns the delay before the next attempt.
func (b *Backoff) Next() time.Duration {
	b.delay = min(max(2*b.delay, b.Min), b.Max)
	return b.delay
}

// Delay returns what the last Next returned, and 0 before the first and after a Reset.
func (b *Backoff) Delay() time.Duration { return b.delay }

// Reset makes the next delay Min again.
func (b *Backoff) Reset() { b.delay = 0 }

// Jitter draws a delay between half of d and d, so that those that failed together do not try
// again together. Half of Min is added to the range: attempts that need not wait (d is 0) are
// spread as well.
func (b *Backoff) Jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+b.Min/2)
}
