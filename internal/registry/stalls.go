package registry

import (
	"runtime"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
)

// gaps finds out how long this process did not run though it should have. It is under
// Registry.mu.
type stalls struct {
	period     time.Duration
	accounted  time.Time     // up to then all is accounted for
	lastSleep  time.Time     // when the machine was last taken to have slept
	unreported time.Duration // missed, and too little yet to tell the membership
	unlogged   time.Duration // not logged yet, of late
	decayed    time.Time     // when it was last made less
	logged     time.Time     // when it was logged last
}

// clock is the goroutine that shows by when it runs how late all goroutines do.
func (r *Registry) stallLoop() {
	timer := time.NewTimer(r.stalls.period)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-timer.C:
		}
		// A goroutine that a timer has woken is the next to run. It should be as late as one
		// that has heard from a member, which waits for its turn.
		runtime.Gosched()
		r.mu.Lock()
		r.accountForStalls()
		r.stalls.accounted = r.cfg.Now()
		r.stalls.decay(r.stalls.accounted, r.cfg.Lease)
		r.mu.Unlock()
		timer.Reset(r.stalls.period)
	}
}

// accountForStalls accounts for time in which this process did not run. It comes before anything
// that is judged by the time; it needs mu.
func (r *Registry) accountForStalls() {
	t, lease, now := &r.stalls, r.cfg.Lease, r.cfg.Now()
	gap := max(0, now.Sub(t.accounted)-t.period)
	clockSet := handshake.Elapsed(t.accounted, now)-now.Sub(t.accounted) > lease/4
	t.accounted = t.accounted.Add(gap)
	if clockSet {
		t.accounted = now
	}
	// A time of day that is set forward looks like a sleep. One that is set again and again
	// must not keep a silent member for ever.
	slept := clockSet && (t.lastSleep.IsZero() || now.Sub(t.lastSleep) >= membership.Stretch*lease)
	if slept {
		t.lastSleep = now
	}
	t.unreported += gap
	if t.unreported < lease/128 && !slept {
		return
	}
	r.members.DidNotRun(t.unreported, slept)
	t.unlogged += t.unreported
	t.unreported = 0
	if slept || t.worthLogging(now, lease) {
		r.cfg.Log.Warn("this process did not get the processor for a while, or was stopped; members get as much more time to answer", "late", t.unlogged, "slept", slept)
		t.unlogged, t.logged = 0, now
	}
}

// worthLogging says whether what was missed of late is to be logged. A little now and then
// never is, see [lateness.tick].
func (t *stalls) worthLogging(now time.Time, lease time.Duration) bool {
	return t.unlogged > lease/4 && (t.logged.IsZero() || now.Sub(t.logged) > handshake.SayLate)
}

// fade forgets of what was missed an eighth in each sixth of a lease.
func (t *stalls) decay(now time.Time, lease time.Duration) {
	if now.Sub(t.decayed) >= lease/6 {
		t.unlogged -= t.unlogged / 8
		t.decayed = now
	}
}
