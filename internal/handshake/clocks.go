package handshake

import (
	"context"
	"time"
)

// Elapsed is how long it is from one moment to another, by the clock that says more. The
// one that Go measures time with stands still while a machine is suspended (on Linux and
// macOS), and the time of day goes on, but may be set: what a node or a registry
// believes of others must be old by the longer of the two, since too old costs a question
// and too young a wrong answer.
func Elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// Now is the present, on both clocks but for tests that set the time of day.
func (c *Config) Now() time.Time {
	if c.Wall != nil {
		return c.Wall()
	}
	return time.Now()
}

// SayLate is how often the log is told, at most, that this process is late.
const SayLate = time.Minute

// Pause waits, unless ctx ends first, and then says why.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
