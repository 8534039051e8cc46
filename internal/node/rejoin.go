package node

import (
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// A sink takes nothing from an incarnation that is earlier than one it remembers of the same
// ID. The registry makes incarnations from its clock. So a registry whose clock is behind
// could give a node an incarnation that some sinks hold for over. Two rules keep incarnations
// growing, whatever the clocks say, and in whichever order members and registries come and go:
//
//   - A node tells its registry the greatest incarnation that it has seen. From then on the
//     registry gives no smaller one.
//   - A sink that refuses a stream as one of an earlier incarnation names the one that it
//     remembers. The node then ends its own and joins again, as if it had been declared dead.
//     By the first rule its next incarnation is a later one.

// atomicMax is the greatest number that it was raised to.
type atomicMax struct{ atomic.Uint64 }

func (m *atomicMax) raise(to uint64) {
	for {
		was := m.Load()
		if to <= was || m.CompareAndSwap(was, to) {
			return
		}
	}
}

// noteIncarnation notes that this incarnation of some node exists. It ignores one above
// control.MaxIncarnation, which would use up the numbers there are.
func (n *Node) noteIncarnation(inc uint64) {
	if inc <= control.MaxIncarnation {
		n.maxIncarnation.raise(inc)
	}
}

// noteTold is noteIncarnation for one that the registry tells of.
func (n *Node) noteTold(inc uint64) {
	n.toldMax.raise(inc)
	n.noteIncarnation(inc)
}

// noteIncarnations notes the incarnations that the registry tells of.
func (n *Node) noteIncarnations(told *membership.NodeView) {
	n.noteTold(told.Newest)
	for _, list := range [][]ring.Peer{told.Entries, told.Successors, told.Hold} {
		for _, p := range list {
			n.noteTold(p.Incarnation)
		}
	}
	for _, d := range told.Detours {
		n.noteTold(d.Incarnation)
	}
	for _, o := range told.Over {
		n.noteIncarnation(o.Incarnation)
	}
}

// The first time a sink remembers a later incarnation the node joins again at once, and after
// that no sooner than a delay that doubles each time: a sink could ask for it for ever. A sink
// forgets an incarnation within maxRejoinDelay, so a longer delay would be of no use.
const maxRejoinDelay = 5 * time.Minute

// rejoinLimit limits how often the node joins again for the sake of a sink. Node.mu guards it.
type rejoinLimit struct {
	last  time.Time
	delay backoff.Backoff // after last
}

// due reports whether the node may join again now.
func (r *rejoinLimit) due(now time.Time) bool {
	return r.last.IsZero() || now.Sub(r.last) >= r.delay.Delay()
}

// begin notes that the node joins again. least is the first delay.
func (r *rejoinLimit) begin(now time.Time, least time.Duration) {
	if r.last.IsZero() || now.Sub(r.last) > 2*maxRejoinDelay {
		r.delay.Reset() // the last time had another cause
	}
	r.last = now
	r.delay.Min, r.delay.Max = least, maxRejoinDelay
	r.delay.Next()
}

// onLaterIncarnation is called when a sink has refused a stream, because it remembers a later
// incarnation of this node's ID. It reports whether another incarnation is about to begin. A
// stream's lock is held.
func (inc *incarnation) onLaterIncarnation(later uint64) bool {
	if later > control.MaxIncarnation || inc.rejoinUseless || inc.n.isLeaving() {
		return false
	}
	inc.n.noteIncarnation(later)
	inc.remembered.raise(later)
	select {
	case inc.laterSeen <- struct{}{}:
	default:
	}
	return true
}

// mustRejoin reports whether this incarnation must end now because a sink remembers a later
// one. The registry must be there, and must have told the node a table since it registered:
// while a registry rebuilds a ring it gives no incarnations.
func (inc *incarnation) mustRejoin() bool {
	if inc.remembered.Load() <= inc.self.Incarnation || inc.local.Load().Epoch <= inc.connectEpoch.Load() {
		return false
	}
	select {
	case <-inc.n.Disconnected():
		return false
	default:
	}
	inc.n.mu.Lock()
	defer inc.n.mu.Unlock()
	return !inc.n.leaving && inc.n.rejoins.due(time.Now())
}

// rejoinIfDue ends the incarnation if it must end now. It closes the connection to the
// registry; controlLoop sees rejoining, and joins again.
func (inc *incarnation) rejoinIfDue() {
	if !inc.mustRejoin() || inc.rejoining.Swap(true) {
		return
	}
	inc.n.mu.Lock()
	inc.n.rejoins.begin(time.Now(), inc.lease())
	inc.n.mu.Unlock()
	inc.n.cfg.Log.Warn("a member remembers a later incarnation of this node, which joins again as a new one", "node", inc.n.Peer(), "incarnation", inc.self.Incarnation, "later", inc.remembered.Load())
	inc.n.HangUp()
}

// laterIncarnationError is an [errs.ErrEvicted] for another reason.
type laterIncarnationError struct{}

func (laterIncarnationError) Error() string {
	return "a member remembers a later incarnation of this node, which joins again as a new one"
}
func (laterIncarnationError) Is(target error) bool { return target == errs.ErrEvicted }
