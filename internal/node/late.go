package node

import (
	"sync"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
)

// lateness measures how late the goroutines of an incarnation run, by one goroutine that
// should run in intervals.
type lateness struct {
	mu         sync.Mutex // guards what follows
	lastRun    time.Time
	missed     membership.Missed
	unreported time.Duration // not sent to the registry yet
	unlogged   time.Duration
	logged     time.Time // when lateness was logged last
}

// ran notes that the goroutine runs, which it should once a period, and returns the lateness
// to log. That is zero unless a quarter of a lease or more has added up, and at most once in
// handshake.StallLogInterval it is not.
func (l *lateness) ran(now time.Time, period, lease time.Duration) (log time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.lastRun.IsZero() {
		gap := max(0, now.Sub(l.lastRun)-period)
		l.missed.Add(lease, gap, false)
		l.unreported += gap
		l.unlogged += gap
	}
	l.lastRun = now
	if l.unlogged < lease/4 || !l.logged.IsZero() && now.Sub(l.logged) < handshake.StallLogInterval {
		l.unlogged -= l.unlogged / 8 // small delays now and then are not worth a line
		return 0
	}
	log = l.unlogged
	l.unlogged, l.logged = 0, now
	return log
}

// takeUnreported returns the lateness to send to the registry, and resets it.
func (l *lateness) takeUnreported() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	unreported := l.unreported
	l.unreported = 0
	return unreported
}

// total is what was missed until now. If the goroutine is late at the moment, that counts too.
func (l *lateness) total(now time.Time, period, lease time.Duration) membership.Missed {
	l.mu.Lock()
	defer l.mu.Unlock()
	missed := l.missed
	if !l.lastRun.IsZero() {
		missed.Add(lease, max(0, now.Sub(l.lastRun)-period), false)
	}
	return missed
}

// noteLateness is called once in checkPeriod, and notices when it was called late.
func (inc *incarnation) noteLateness() {
	if late := inc.lateness.ran(time.Now(), inc.checkPeriod(), inc.lease()); late > 0 {
		inc.n.cfg.Log.Warn("this process got no CPU time for a while, or was stopped; the registry is told, and allows it more time",
			"node", inc.n.Peer(), "late", late)
	}
}

// checkPeriod is the interval in which an incarnation checks its links and its lateness.
func (inc *incarnation) checkPeriod() time.Duration { return inc.lease() / 6 }

// missedTime is what this process has missed until now.
func (inc *incarnation) missedTime() membership.Missed {
	return inc.lateness.total(time.Now(), inc.checkPeriod(), inc.lease())
}

// silenceLeft is how much longer the registry may be silent. It has been silent since since,
// when missed was what this process had missed.
func (inc *incarnation) silenceLeft(since time.Time, missed membership.Missed) time.Duration {
	left := membership.TimeLeft(inc.timeout(), membership.Stretch*inc.timeout(), time.Since(since), inc.missedTime().Since(missed))
	if left > 0 {
		left = max(left, inc.lease()/64)
	}
	return left
}
