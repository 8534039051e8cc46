package membership

import (
	"time"

	"github.com/x/ringdht/internal/ring"
)

// A registry that does not get the processor hears from no member. Members may be no worse
// off than it is: in one process with it, or on the same busy machine. So time in which the
// registry did not run counts against no member, whether it stood still once or ran late all
// the time. This is the local health of Lifeguard
// (Dadgar, Phillips and Currey, 2017), measured instead of guessed from what failed.
//
// The bound is Stretch: a member that is dead, and whose connection does not say so, is
// kept for so many times its patience at most, however little the registry runs. A single
// gap of more than a lease does not count towards that either: the registry was stopped.
const Stretch = 8

// Missed is time in which a process should have run and did not, added up.
type Missed struct {
	All     time.Duration // of which
	Stopped time.Duration // was in gaps of more than a lease
}

// Since is what was missed after an earlier moment.
func (m Missed) Since(was Missed) Missed { return Missed{m.All - was.All, m.Stopped - was.Stopped} }

// Add takes note of a gap. slept says that the machine was suspended, which the gap, by a
// clock that stood still, does not show. What comes back after a stop has a lease to do so.
func (m *Missed) Add(lease, gap time.Duration, slept bool) {
	if slept || gap > lease {
		m.Stopped += gap + lease
		gap += lease
	}
	m.All += gap
}

// Spare is how much longer the other side may be silent, of a patience that grows with
// what this process has missed since it was heard, but not beyond most. At 0 it is dead.
func Spare(patience, most, silent time.Duration, missed Missed) time.Duration {
	return max(0, min(patience-(silent-missed.All), most-(silent-missed.Stopped)))
}

// Word is when a member was last heard.
type Word struct {
	at     Time
	missed Missed // by this registry until then
}

// Word is what to remember of a member that is heard now.
func (a *Authority) Word(now Time) Word { return Word{now, a.missed} }

// Spare is how much longer a member may be silent whose last word this was.
func (a *Authority) Spare(now Time, ref ring.Ref, last Word) time.Duration {
	m := a.find(ref)
	if m == nil {
		return 0
	}
	return Spare(a.timeout(m), Stretch*a.baseTimeout(m), now-last.at, a.missed.Since(last.missed))
}

// deadline is when a member's time is up, if this process runs meanwhile.
type deadline struct {
	at   Time
	last Time // it is not put off beyond that
}

func within(now Time, d time.Duration) deadline { return deadline{now + d, now + Stretch*d} }

func (d *deadline) putOff(by time.Duration, stopped bool) {
	if stopped {
		d.last += by
	}
	d.at = max(d.at, min(d.at+by, d.last))
}

// Missed takes note that this process did not run for so long though it should have, or
// that its machine slept: members could do nothing about the deadlines that passed
// meanwhile.
func (a *Authority) Missed(gap time.Duration, slept bool) {
	a.missed.Add(a.Lease, gap, slept)
	stopped := slept || gap > a.Lease
	// Attempts to come back failed meanwhile, and the next ones may be a while off.
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
	a.batchBy.putOff(gap, stopped)
	a.announceBy.putOff(gap, stopped)
}

// HeldUp takes a member's word that it was late itself, by so much since its last
// heartbeat. The next ones may come later by several times that, so it gets more patience:
// up to three leases, which halve with each heartbeat that is in time again.
func (a *Authority) HeldUp(ref ring.Ref, late time.Duration) {
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
