package membership

import (
	"cmp"
	"math"
	"time"

	"github.com/x/ringdht/internal/ring"
)

// MaxBeats is how many heartbeats a second an authority wants to hear. One costs a
// registry some 25 microseconds, most of it the kernel's for a read and a write, and 40 if
// its node is busy and says with what: ten thousand of those that beat once a second would
// cost two fifths of a processor. In a ring
// with more members than that each beats more seldom, and is given as much more time:
// its pace is the number of leases that it may be silent, and of thirds of one between
// its beats.
//
// Rejected: answers to every third beat, which saves less than half; and beats to
// neighbours instead of the registry, where who is dead would be said by nodes that may
// themselves be cut off.
const MaxBeats = 1000

// MaxPace bounds what a member, or a registry, may claim the pace to be.
const MaxPace = 100

// Pace is how often members are to beat: every so many thirds of a lease.
func (a *Authority) targetPace() int {
	beats := 3 * float64(a.roster.Len()) / a.Lease.Seconds() // a second, at pace 1
	return int(min(max(1, math.Ceil(beats/float64(cmp.Or(a.Beats, MaxBeats)))), MaxPace))
}

// Heard takes a member's heartbeat, which says at what pace it beats, and returns the
// pace to tell it. Until it follows, the slower one holds: neither may take the other for
// dead sooner than the other thinks. Nor is it told a faster one until then: of two
// answers under way it may hear the first only.
func (a *Authority) Heard(ref ring.Ref, pace int) (tell int) {
	tell = a.targetPace()
	if m := a.find(ref); m != nil {
		if pace != m.asked {
			tell = max(tell, m.asked)
		}
		m.asked, m.pace = tell, max(tell, min(pace, MaxPace))
	}
	return tell
}

// Patience is how long a member may be silent.
func (a *Authority) Patience(ref ring.Ref) time.Duration {
	if m := a.find(ref); m != nil {
		return a.timeout(m)
	}
	return a.Lease
}

// usual is how long a member may be silent that is not late itself.
func (a *Authority) baseTimeout(m *member) time.Duration {
	return a.Lease * time.Duration(max(1, m.pace))
}

func (a *Authority) timeout(m *member) time.Duration { return a.baseTimeout(m) + m.lateness }
