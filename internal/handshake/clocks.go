package handshake

import (
	"context"
	"time"
)

// Elapsed returns how long it is from one moment to another, by the clock that shows more. Go's
// monotonic clock stands still while a machine is suspended, on Linux and macOS. The time of day
// goes on, but may be set. The longer time is the safe one. If a belief about another node is taken
// for too old, that costs a question; if for too young, a wrong answer.
func Elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// Now returns the present on both clocks. Tests may set the time of day.
func (c *Config) Now() time.Time {
	if c.Wall != nil {
		return c.Wall()
	}
	return time.Now()
}

// StallLogInterval is the shortest time between two log records of stalls of this process.
const StallLogInterval = time.Minute

// Sleep waits for d. If ctx ends first it returns the cause.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
