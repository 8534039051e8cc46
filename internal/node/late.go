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
	mu     sync.Mutex // guards what follows
	ran    time.Time  // when it ran last
	missed membership.Missed
	unsaid time.Duration // not told to the registry yet
	unlog  time.Duration // not logged yet
	logged time.Time     // when that was told last
}

// tick takes note that the goroutine runs, which it should once a period, and says how
// much to log of what was missed.
func (l *lateness) tick(now time.Time, period, lease time.Duration) (tell time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ran.IsZero() {
		gap := max(0, now.Sub(l.ran)-period)
		l.missed.Add(lease, gap, false)
		l.unsaid += gap
		l.unlog += gap
	}
	l.ran = now
	if l.unlog < lease/4 || !l.logged.IsZero() && now.Sub(l.logged) < handshake.StallLogInterval {
		l.unlog -= l.unlog / 8 // a little now and then is not worth a word
		return 0
	}
	tell = l.unlog
	l.unlog, l.logged = 0, now
	return tell
}

// take is what to tell the registry of.
func (l *lateness) take() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	unsaid := l.unsaid
	l.unsaid = 0
	return unsaid
}

// all is what was missed until now, also if the goroutine is late at the moment.
func (l *lateness) all(now time.Time, period, lease time.Duration) membership.Missed {
	l.mu.Lock()
	defer l.mu.Unlock()
	missed := l.missed
	if !l.ran.IsZero() {
		missed.Add(lease, max(0, now.Sub(l.ran)-period), false)
	}
	return missed
}

// ticks is called every sixth of a lease, and finds out whether that is so.
func (inc *incarnation) ticks() {
	if late := inc.late.tick(time.Now(), inc.period(), inc.lease()); late > 0 {
		inc.n.cfg.Log.Warn("this process got no CPU time for a while, or was stopped; the registry is told, and allows it more time",
			"node", inc.n.Peer(), "late", late)
	}
}

// period is how often a life looks after its links, and whether it is late.
func (inc *incarnation) period() time.Duration { return inc.lease() / 6 }

// missed is what this process has missed until now.
func (inc *incarnation) missed() membership.Missed {
	return inc.late.all(time.Now(), inc.period(), inc.lease())
}

// patient is how much longer the registry may be silent that was heard last when missed was
// what this process had missed.
func (inc *incarnation) patient(heard time.Time, missed membership.Missed) time.Duration {
	left := membership.TimeLeft(inc.patience(), membership.Stretch*inc.patience(), time.Since(heard), inc.missed().Since(missed))
	if left > 0 {
		left = max(left, inc.lease()/64)
	}
	return left
}
