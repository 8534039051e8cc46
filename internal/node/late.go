package node

import (
	"sync"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
)

// lateness is how late the goroutines of a life run, as far as one can tell that should run
// in intervals.
type lateness struct {
	mu         sync.Mutex // guards what follows
	lastRun    time.Time  // when it ran last
	missed     membership.Missed
	unreported time.Duration // not told to the registry yet
	unlogged   time.Duration // not logged yet
	logged     time.Time     // when that was told last
}

// ran takes note that the goroutine runs, which it should once a period, and says how
// much to log of what was missed.
func (l *lateness) ran(now time.Time, period, lease time.Duration) (tell time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.lastRun.IsZero() {
		gap := max(0, now.Sub(l.lastRun)-period)
		l.missed.Add(lease, gap, false)
		l.unreported += gap
		l.unlogged += gap
	}
	l.lastRun = now
	if l.unlogged < lease/4 || !l.logged.IsZero() && now.Sub(l.logged) < handshake.SayLate {
		l.unlogged -= l.unlogged / 8 // a little now and then is not worth a word
		return 0
	}
	tell = l.unlogged
	l.unlogged, l.logged = 0, now
	return tell
}

// takeUnreported is what to tell the registry of.
func (l *lateness) takeUnreported() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	unsaid := l.unreported
	l.unreported = 0
	return unsaid
}

// total is what was missed until now, also if the goroutine is late at the moment.
func (l *lateness) total(now time.Time, period, lease time.Duration) membership.Missed {
	l.mu.Lock()
	defer l.mu.Unlock()
	missed := l.missed
	if !l.lastRun.IsZero() {
		missed.Add(lease, max(0, now.Sub(l.lastRun)-period), false)
	}
	return missed
}

// noteLateness is called every sixth of a lease, and finds out whether that is so.
func (inc *incarnation) noteLateness() {
	if late := inc.lateness.ran(time.Now(), inc.checkPeriod(), inc.lease()); late > 0 {
		inc.n.cfg.Log.Warn("this process got no CPU time for a while, or was stopped; the registry is told, and allows it more time",
			"node", inc.n.Peer(), "late", late)
	}
}

// checkPeriod is how often a life looks after its links, and whether it is late.
func (inc *incarnation) checkPeriod() time.Duration { return inc.lease() / 6 }

// missedTime is what this process has missedTime until now.
func (inc *incarnation) missedTime() membership.Missed {
	return inc.lateness.total(time.Now(), inc.checkPeriod(), inc.lease())
}

// silenceLeft is how much longer the registry may be silent that was heard last when missed was
// what this process had missed.
func (inc *incarnation) silenceLeft(heard time.Time, missed membership.Missed) time.Duration {
	left := membership.TimeLeft(inc.timeout(), membership.Stretch*inc.timeout(), time.Since(heard), inc.missedTime().Since(missed))
	if left > 0 {
		left = max(left, inc.lease()/64)
	}
	return left
}
