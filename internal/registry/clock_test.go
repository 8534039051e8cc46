package registry

import (
	"testing"
	"time"
)

// testClock runs registries one after the other, with a file for the reserve.
type testClock struct {
	t       *testing.T
	kept    time.Time
	highest time.Time // that any registry has given
	writes  int
}

// run is the life of one registry. Its machine shows wall at first. It asks for the time every step.
// closes says that it ends in good order.
func (c *testClock) run(wall time.Time, life, step time.Duration, closes bool) (first, last time.Time) {
	c.t.Helper()
	k := startClock(c.kept, wall)
	write := func(to time.Time) { c.kept, k.kept = to, to; c.writes++ }
	write(k.reserve(0))
	for ran := time.Duration(0); ran <= life; ran += step {
		now := k.now(wall.Add(ran), ran)
		if !now.Before(k.due(ran)) {
			write(k.reserve(ran))
		}
		if !now.Before(c.kept) {
			c.t.Fatalf("%v is given, and %v is on disk", now, c.kept)
		}
		if now.Before(c.highest) {
			c.t.Fatalf("%v is given after %v", now, c.highest)
		}
		c.highest, last = now, now
		if first.IsZero() {
			first = now
		}
	}
	if closes {
		write(last.Add(time.Millisecond))
	}
	return first, last
}

func TestClockGoesOnBehindAnEarlierOne(t *testing.T) {
	c := &testClock{t: t}
	_, last := c.run(at(0), 24*time.Hour, time.Second/20, false)
	if c.writes > 2*24*60+40 {
		t.Errorf("%d writes in a day", c.writes)
	}
	// The machine's clock is set back by a year.
	first, _ := c.run(at(0).Add(-365*24*time.Hour), time.Hour, time.Second/20, true)
	if ahead := first.Sub(last); ahead < 0 || ahead > maxReserve {
		t.Errorf("a crash sets the clock ahead by %v", ahead)
	}
	_, last = first, c.highest
	first, _ = c.run(at(0).Add(-365*24*time.Hour), time.Hour, time.Second, false)
	if ahead := first.Sub(last); ahead < 0 || ahead > time.Millisecond {
		t.Errorf("after a closed registry the clock is ahead by %v", ahead)
	}
	// It is right again, and later.
	if first, _ = c.run(at(7*24*3600), time.Hour, time.Second, false); !first.Equal(at(7 * 24 * 3600)) {
		t.Errorf("the clock shows %v", first)
	}
}

// A registry that crashes every second does not run away.
func TestClockOfOneThatCrashes(t *testing.T) {
	for name, back := range map[string]time.Duration{"right": 0, "a year behind": 365 * 24 * time.Hour} {
		c := &testClock{t: t}
		c.run(at(0), time.Minute, time.Second/20, false)
		from := c.highest
		const restarts = 600
		for i := range restarts {
			c.run(at(61+i).Add(-back), time.Second, time.Second/20, false)
		}
		if took := c.highest.Sub(from); took < restarts*time.Second || took > 2*restarts*time.Second+maxReserve+5*time.Second {
			t.Errorf("%s: %v after %d seconds", name, took, restarts)
		}
	}
}

// A machine that was suspended, or whose clock is set ahead, takes the registry's clock with it.
func TestClockFollowsTheMachine(t *testing.T) {
	k := startClock(time.Time{}, at(0))
	if now := k.now(at(3600), time.Second); !now.Equal(at(3600)) {
		t.Error(now)
	}
	if now := k.now(at(-5), 2*time.Second); !now.Equal(at(3600)) {
		t.Error("the clock goes back:", now)
	}
	if now := k.now(at(-5), 3601*time.Second); !now.Equal(at(3601)) {
		t.Error("the clock stands still:", now)
	}
}
