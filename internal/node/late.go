package node

import (
	"sync"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
)

// lateness measures how late the goroutines of an incarnation run, by one goroutine that
// sleeps until a certain time, over and over.
type lateness struct {
	mu         sync.Mutex // guards what follows
	due        time.Time  // when the goroutine should run next; zero before it has run
	missed     membership.Missed
	unreported time.Duration // not sent to the registry yet
	unlogged   time.Duration
	logged     time.Time // when lateness was logged last
}

// sleeps notes when the goroutine should run next.
func (l *lateness) sleeps(until time.Time) {
	l.mu.Lock()
	l.due = until
	l.mu.Unlock()
}

// ran notes that the goroutine runs, and returns the lateness to log. That is zero unless a
// quarter of a lease or more has added up, and at most once in handshake.StallLogInterval it
// is not.
func (l *lateness) ran(now time.Time, lease time.Duration) (log time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.due.IsZero() {
		gap := max(0, now.Sub(l.due))
		l.missed.Add(lease, gap, false)
		l.unreported += gap
		l.unlogged += gap
		l.due = now
	}
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
func (l *lateness) total(now time.Time, lease time.Duration) membership.Missed {
	l.mu.Lock()
	defer l.mu.Unlock()
	missed := l.missed
	if !l.due.IsZero() {
		missed.Add(lease, max(0, now.Sub(l.due)), false)
	}
	return missed
}

// noteLateness is called when heartbeatLoop runs, and notices when that is late.
func (inc *incarnation) noteLateness() {
	if late := inc.lateness.ran(time.Now(), inc.lease()); late > 0 {
		inc.n.cfg.Log.Warn("this process got no CPU time for a while, or was stopped; the registry is told, and allows it more time",
			"node", inc.n.Peer(), "late", late)
	}
}

// missedTime is what this process has missed until now.
func (inc *incarnation) missedTime() membership.Missed {
	return inc.lateness.total(time.Now(), inc.lease())
}
