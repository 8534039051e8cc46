package registry

import (
	"runtime"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
)

// stalls measures for how long this process did not run though it should have: it was stopped, or
// did not get the processor. Guarded by Registry.mu.
type stalls struct {
	period     time.Duration // for which stallLoop sleeps
	late       bool          // the membership was told of a stall since the last period
	accounted  time.Time     // all time before it is accounted for
	lastSleep  time.Time     // when the machine last seemed to have slept
	unreported time.Duration // missed, and still too little for the membership
	unlogged   time.Duration // missed of late, and not logged
	decayed    time.Time     // the last decay of unlogged
	logged     time.Time     // when a stall was last logged
}

// stallLoop runs once a period. By how late it runs it shows how late all goroutines run.
func (r *Registry) stallLoop() {
	timer := time.NewTimer(r.stalls.period)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-timer.C:
		}
		// The goroutine that a timer wakes runs next. Let it queue like a goroutine that has
		// received from a member, so that it is as late.
		runtime.Gosched()
		r.mu.Lock()
		r.accountForStalls()
		r.stalls.accounted = r.cfg.Now()
		r.stalls.decay(r.stalls.accounted, r.cfg.Lease)
		period := r.stalls.nextPeriod(r.cfg.Lease)
		r.mu.Unlock()
		timer.Reset(period)
	}
}

// nextPeriod begins the next period. What is missed within a period is not seen, so it is short
// after a stall: the next may follow soon. While there is none it doubles up to an eighth of a
// lease, since its wakeups are most of what a registry at rest costs.
func (t *stalls) nextPeriod(lease time.Duration) time.Duration {
	short := shortPeriod(lease)
	t.period = max(short, min(2*t.period, lease/8))
	if t.late {
		t.late, t.period = false, short
	}
	return t.period
}

func shortPeriod(lease time.Duration) time.Duration { return max(lease/32, time.Millisecond) }

// accountForStalls tells the membership how long this process did not run. It must come before any
// decision that depends on the time. It needs mu.
func (r *Registry) accountForStalls() {
	t, lease, now := &r.stalls, r.cfg.Lease, r.cfg.Now()
	gap := max(0, now.Sub(t.accounted)-t.period)
	jumped := handshake.Elapsed(t.accounted, now)-now.Sub(t.accounted) > lease/4
	t.accounted = t.accounted.Add(gap)
	if jumped {
		t.accounted = now
	}
	// A time of day that is set forward looks like a sleep. One that is set again and again must
	// not keep a silent member for ever.
	slept := jumped && (t.lastSleep.IsZero() || now.Sub(t.lastSleep) >= membership.Stretch*lease)
	if slept {
		t.lastSleep = now
	}
	t.unreported += gap
	if t.unreported < lease/128 && !slept {
		return
	}
	t.late = true
	r.members.DidNotRun(t.unreported, slept)
	t.unlogged += t.unreported
	t.unreported = 0
	if slept || t.worthLogging(now, lease) {
		r.cfg.Log.Warn("this process did not get the processor for a while, or was stopped; members get as much more time to answer", "late", t.unlogged, "slept", slept)
		t.unlogged, t.logged = 0, now
	}
}

// worthLogging reports whether the stalls of late must be logged. A little now and then never is,
// see lateness.ran of internal/node.
func (t *stalls) worthLogging(now time.Time, lease time.Duration) bool {
	return t.unlogged > lease/4 && (t.logged.IsZero() || now.Sub(t.logged) > handshake.StallLogInterval)
}

// decay forgets an eighth of the unlogged stalls in each sixth of a lease.
func (t *stalls) decay(now time.Time, lease time.Duration) {
	if now.Sub(t.decayed) >= lease/6 {
		t.unlogged -= t.unlogged / 8
		t.decayed = now
	}
}
