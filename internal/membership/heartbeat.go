package membership

import (
	"cmp"
	"math"
	"time"

	"github.com/x/ringdht/internal/ring"
)

// MaxBeats is how many heartbeats a second a registry receives at most.
//
// A heartbeat costs a registry about 25 microseconds, most of it in the kernel for a read
// and a write, and 40 with the status of a busy node. Ten thousand members that each send
// one a second would cost two fifths of a processor. So in a large ring each member sends
// fewer, and has a longer timeout. Its pace is both the timeout in leases and the time
// between two heartbeats in thirds of a lease.
//
// Rejected: answers to every third heartbeat only, which saves less than half; heartbeats
// to neighbours instead of the registry, because nodes that may themselves be cut off
// would then decide which members are dead.
const MaxBeats = 1000

// MaxPace bounds the pace that a member or a registry may claim.
const MaxPace = 100

// targetPace is the pace that members should have now: thirds of a lease between two
// heartbeats.
func (a *Authority) targetPace() int {
	beats := 3 * float64(a.roster.Len()) / a.Lease.Seconds() // a second, at pace 1
	return int(min(max(1, math.Ceil(beats/float64(cmp.Or(a.Beats, MaxBeats)))), MaxPace))
}

// Heartbeat takes a member's heartbeat and its present pace, and returns the pace to tell it.
//
// Until the member follows, the slower of the two paces gives the timeout: neither side may
// take the other for dead sooner than the other expects. Do not speed it up before it
// follows: the later of two answers in flight may be lost. A slower pace than any that the member
// was told does not count: a member cannot grant itself a longer timeout.
func (a *Authority) Heartbeat(ref ring.Ref, pace int) (tell int) {
	tell = a.targetPace()
	if m := a.find(ref); m != nil {
		if pace == m.asked {
			m.granted = pace
		} else {
			tell = max(tell, m.asked)
		}
		m.asked, m.pace, m.granted = tell, max(tell, min(pace, m.granted)), max(tell, m.granted)
	}
	return tell
}

// Timeout is the timeout of a member: how long it may be silent.
func (a *Authority) Timeout(ref ring.Ref) time.Duration {
	if m := a.find(ref); m != nil {
		return a.timeout(m)
	}
	return a.Lease
}

// baseTimeout is the timeout of a member that was not late itself.
func (a *Authority) baseTimeout(m *member) time.Duration {
	return a.Lease * time.Duration(max(1, m.pace))
}

func (a *Authority) timeout(m *member) time.Duration { return a.baseTimeout(m) + m.lateness }
