package ringdht

import (
	"sync"
	"time"

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
	if l.unlog < lease/4 || !l.logged.IsZero() && now.Sub(l.logged) < sayLate {
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
func (l *life) ticks() {
	if late := l.late.tick(time.Now(), l.period(), l.lease()); late > 0 {
		l.n.cfg.log.Warn("this process did not get the processor for a while, or was stopped; the registry hears of it and has more patience",
			"node", l.n.Peer(), "late", late)
	}
}

// period is how often a life looks after its links, and whether it is late.
func (l *life) period() time.Duration { return l.lease() / 6 }

// missed is what this process has missed until now.
func (l *life) missed() membership.Missed { return l.late.all(time.Now(), l.period(), l.lease()) }

// patient is how much longer the registry may be silent that was heard last when missed was
// what this process had missed.
func (l *life) patient(heard time.Time, missed membership.Missed) time.Duration {
	left := membership.Spare(l.patience(), membership.Stretch*l.patience(), time.Since(heard), l.missed().Since(missed))
	if left > 0 {
		left = max(left, l.lease()/64)
	}
	return left
}
