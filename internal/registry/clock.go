package registry

import "time"

// clock is the time of a secure ring: admissions and tokens end by it. It never goes back, also
// from one registry to the next, even if that of the machine does. It is pure.
//
// A registry keeps on disk a time before which all times were that it has given, the reserve. Before
// it gives a later one it writes a later reserve. The next registry begins there, or at its
// machine's time if that is later. The reserve is as far ahead as the registry has run, from a
// quarter of a second to a minute. So a crash sets the clock ahead by no more than that, and
// a registry that crashes again and again runs at twice the speed at most. One that is closed
// keeps the time itself.
//
// Rejected: the times of the machine as they are, since one that goes back lets ended admissions
// begin again; and an hour of reserve, which each crash would skip.
type clock struct {
	begin time.Time // at its start
	last  time.Time // the latest given
	kept  time.Time // the reserve on disk; zero if nothing is kept
}

// The bounds of how far the reserve is ahead.
const (
	minReserve = 250 * time.Millisecond
	maxReserve = time.Minute
)

// startClock starts a clock behind what was kept, zero for nothing.
func startClock(kept, wall time.Time) clock {
	if kept.After(wall) {
		wall = kept
	}
	wall = wall.Round(0)
	return clock{begin: wall, last: wall, kept: kept}
}

// now is the time, given the machine's time and how long the registry runs. Of the two the later
// one counts: the one may be set back, and the other stands still while a machine is suspended.
func (c *clock) now(wall time.Time, ran time.Duration) time.Time {
	for _, t := range [...]time.Time{wall.Round(0), c.begin.Add(ran)} {
		if t.After(c.last) {
			c.last = t
		}
	}
	return c.last
}

// reserve is what to write now.
func (c *clock) reserve(ran time.Duration) time.Time {
	return c.last.Add(min(max(minReserve, ran), maxReserve))
}

// due is when to write the next reserve: when half of this one is used up.
func (c *clock) due(ran time.Duration) time.Time {
	return c.kept.Add(-min(max(minReserve, ran), maxReserve) / 2)
}
