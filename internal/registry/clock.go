package registry

import (
	"runtime"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
)

// gaps finds out how long this process did not run though it should have. It is under
// Registry.mu.
type gaps struct {
	period time.Duration
	ran    time.Time     // up to then all is accounted for
	woke   time.Time     // when the machine was last taken to have slept
	owed   time.Duration // missed, and too little yet to tell the membership
	late   time.Duration // not logged yet, of late
	faded  time.Time     // when it was last made less
	said   time.Time     // when it was logged last
}

// clock is the goroutine that shows by when it runs how late all goroutines do.
func (r *Registry) clock() {
	timer := time.NewTimer(r.gaps.period)
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
		r.accountForGaps()
		r.gaps.ran = r.cfg.Now()
		r.gaps.fade(r.gaps.ran, r.cfg.Lease)
		r.mu.Unlock()
		timer.Reset(r.gaps.period)
	}
}

// accountForGaps accounts for time in which this process did not run. It comes before anything
// that is judged by the time; it needs mu.
func (r *Registry) accountForGaps() {
	t, lease, now := &r.gaps, r.cfg.Lease, r.cfg.Now()
	gap := max(0, now.Sub(t.ran)-t.period)
	set := handshake.Elapsed(t.ran, now)-now.Sub(t.ran) > lease/4
	t.ran = t.ran.Add(gap)
	if set {
		t.ran = now
	}
	// A time of day that is set forward looks like a sleep. One that is set again and again
	// must not keep a silent member for ever.
	slept := set && (t.woke.IsZero() || now.Sub(t.woke) >= membership.Stretch*lease)
	if slept {
		t.woke = now
	}
	t.owed += gap
	if t.owed < lease/128 && !slept {
		return
	}
	r.members.DidNotRun(t.owed, slept)
	t.late += t.owed
	t.owed = 0
	if slept || t.worthLogging(now, lease) {
		r.cfg.Log.Warn("this process did not get the processor for a while, or was stopped; members get as much more time to answer", "late", t.late, "slept", slept)
		t.late, t.said = 0, now
	}
}

// worthLogging says whether what was missed of late is to be logged. A little now and then
// never is, see [lateness.tick].
func (t *gaps) worthLogging(now time.Time, lease time.Duration) bool {
	return t.late > lease/4 && (t.said.IsZero() || now.Sub(t.said) > handshake.SayLate)
}

// fade forgets of what was missed an eighth in each sixth of a lease.
func (t *gaps) fade(now time.Time, lease time.Duration) {
	if now.Sub(t.faded) >= lease/6 {
		t.late -= t.late / 8
		t.faded = now
	}
}

// heard takes note that something has come from the node, and says whether it is, or was, a
// member.
func (s *session) heard() (registered bool) {
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accountForGaps()
	s.last = r.members.HeardNow(r.now())
	return s.in || s.left // what has left does no harm
}

// remaining is how much longer the node may be silent, 0 if it must be given up.
func (s *session) remaining() time.Duration {
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.in {
		return 0
	}
	r.accountForGaps()
	left := r.members.TimeLeft(r.now(), s.member.Ref(), s.last)
	if left > 0 {
		left = max(left, r.cfg.Lease/64) // not again at once
	}
	return left
}
