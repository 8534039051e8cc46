package membership

import (
	"time"

	"github.com/x/ringdht/internal/ring"
)

// Time in which the registry did not run counts against no member. A registry that does
// not get the processor receives nothing, and its members may be as badly off: in one
// process with it, or on the same busy machine. It does not matter whether it stood still
// once or ran late all the time. This is the local health of Lifeguard (Dadgar, Phillips
// and Currey, 2017), measured instead of guessed from failures.

// Stretch bounds how long such time is forgiven. A dead member whose connection stays open
// is kept for at most Stretch times its timeout, however little the registry runs. A single
// gap of more than a lease does not count towards that bound, since the registry was
// stopped.
const Stretch = 8

// Missed is the sum of the times in which a process should have run and did not.
type Missed struct {
	All     time.Duration // of which
	Stopped time.Duration // was in gaps of more than a lease
}

// Since is what was missed since an earlier moment.
func (m Missed) Since(was Missed) Missed { return Missed{m.All - was.All, m.Stopped - was.Stopped} }

// Add takes note of a gap. slept means that the machine was suspended, which the gap does
// not show because the clock stood still. After a stop, the other side gets one more lease
// to come back.
func (m *Missed) Add(lease, gap time.Duration, slept bool) {
	if slept || gap > lease {
		m.Stopped += gap + lease
		gap += lease
	}
	m.All += gap
}

// TimeLeft is how much longer the other side may be silent: 0 means that it is dead. Its
// patience grows by what this process has missed since the other side was last heard, but
// not beyond most.
func TimeLeft(patience, most, silent time.Duration, missed Missed) time.Duration {
	return max(0, min(patience-(silent-missed.All), most-(silent-missed.Stopped)))
}

// LastHeard is when a member was last heard, see [Authority.HeardNow].
type LastHeard struct {
	at     Time
	missed Missed // what this registry had missed by then
}

// HeardNow is what to remember about a member that was heard just now.
func (a *Authority) HeardNow(now Time) LastHeard { return LastHeard{now, a.missed} }

// TimeLeft is how much longer a member may be silent that was last heard at last.
func (a *Authority) TimeLeft(now Time, ref ring.Ref, last LastHeard) time.Duration {
	m := a.find(ref)
	if m == nil {
		return 0
	}
	return TimeLeft(a.timeout(m), Stretch*a.baseTimeout(m), now-last.at, a.missed.Since(last.missed))
}

// deadline is a time that is put off while this process does not run.
type deadline struct {
	at   Time
	last Time // at is not put off beyond this
}

func within(now Time, d time.Duration) deadline { return deadline{now + d, now + Stretch*d} }

func (d *deadline) putOff(by time.Duration, stopped bool) {
	if stopped {
		d.last += by
	}
	d.at = max(d.at, min(d.at+by, d.last))
}

// DidNotRun takes note that this process did not run for a gap though it should have, or that
// its machine slept. It puts off all deadlines, since members could not meet those that
// passed meanwhile.
func (a *Authority) DidNotRun(gap time.Duration, slept bool) {
	a.missed.Add(a.Lease, gap, slept)
	stopped := slept || gap > a.Lease
	// Members failed to connect meanwhile, and may wait before they try again.
	failed := stopped || gap > a.Lease/4
	for _, m := range a.suspects {
		by := gap
		if failed {
			by += a.timeout(m)
		}
		m.suspicion.until.putOff(by, stopped)
	}
	back := gap
	if failed {
		back += a.Lease + a.extraGrace
	}
	a.recoveryEnd.putOff(back, stopped)
	for _, m := range a.leavers {
		m.until.putOff(gap, stopped)
	}
	for _, m := range a.unlisting {
		m.unlistBy.putOff(gap, stopped)
	}
	for _, m := range a.owing {
		m.owesBy.putOff(gap, stopped)
	}
	for _, m := range a.cut {
		m.noWay.at += gap
	}
	a.batchBy.putOff(gap, stopped)
	a.announceBy.putOff(gap, stopped)
}

// RanLate takes a member's report of how late it ran since its last heartbeat. The next
// heartbeats may be late by several times that, so its timeout grows by up to three
// leases. The growth halves with each heartbeat that is in time again.
func (a *Authority) RanLate(ref ring.Ref, late time.Duration) {
	if m := a.find(ref); m != nil {
		m.lateness = nextLateness(m.lateness, late, a.Lease)
	}
}

func nextLateness(was, late, lease time.Duration) time.Duration {
	grant := max(was/2, 4*min(max(0, late), lease))
	if grant < lease/64 {
		return 0
	}
	return min(grant, 3*lease)
}
