package node

import (
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/membership"
)

// A sink takes nothing from a life that is earlier than one it remembers of the same ID.
// Lives are made from the registry's clock, so a registry whose clock is behind could give a
// node a life that some sinks hold for over. Two rules keep lives growing whatever the
// clocks say, and in whichever order members and registries come and go:
//
//   - A node tells its registry the greatest life that it has met, and no life that the
//     registry gives from then on is smaller.
//   - A sink that refuses a stream as one of an earlier life names the life that it
//     remembers. The node then ends its own and joins again, as it does when it was declared
//     dead, and the first rule makes its next life a later one.

// atomicMax is the greatest number that it was given.
type atomicMax struct{ atomic.Uint64 }

func (m *atomicMax) raise(to uint64) {
	for {
		was := m.Load()
		if to <= was || m.CompareAndSwap(was, to) {
			return
		}
	}
}

// noteIncarnation takes note of a life of some node. One that is beyond all sense is none: it would
// use up the lives there are.
func (n *Node) noteIncarnation(inc uint64) {
	if inc <= control.MaxIncarnation {
		n.maxIncarnation.raise(inc)
	}
}

// noteIncarnations takes note of the lives that the registry tells of.
func (n *Node) noteIncarnations(told *membership.NodeView) {
	for _, list := range [][]control.Peer{told.Entries, told.Successors, told.Hold} {
		for _, p := range list {
			n.noteIncarnation(p.Incarnation)
		}
	}
	for _, d := range told.Detours {
		n.noteIncarnation(d.Incarnation)
	}
	for _, o := range told.Over {
		n.noteIncarnation(o.Incarnation)
	}
}

// A node begins another life for a sink's sake at once, and then no sooner than after a
// rest, which doubles each time: a sink could ask for it for ever. A sink forgets within
// maxRest what it remembers, so that a longer rest would be of no use.
const maxRejoinDelay = 5 * time.Minute

// rejoinLimit says when the next life may begin for a sink's sake. Node.mu guards it.
type rejoinLimit struct {
	last  time.Time       // when the latest did
	delay backoff.Backoff // and for how long there must be none after it
}

// due says whether a life may begin for a sink's sake.
func (r *rejoinLimit) due(now time.Time) bool {
	return r.last.IsZero() || now.Sub(r.last) >= r.delay.Delay()
}

// begin takes note that one does. least is the first rest.
func (r *rejoinLimit) begin(now time.Time, least time.Duration) {
	if r.last.IsZero() || now.Sub(r.last) > 2*maxRejoinDelay {
		r.delay.Reset() // that one has nothing to do with this one
	}
	r.last = now
	r.delay.Min, r.delay.Max = least, maxRejoinDelay
	r.delay.Next()
}

// onLaterIncarnation takes a sink's word that it remembers a later life of this node's ID. It says
// whether another life is about to begin. It is called with a stream's lock held.
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

// mustRejoin says that this life must end for a sink's sake, now: the registry is there, and
// has told the node a table since it was found. While it rebuilds a ring it gives no lives.
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

// rejoinIfDue ends the life if it must. The connection to the registry ends, and the
// goroutine that attends to it sees why.
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

// laterIncarnationError is an [ErrEvicted] for another reason.
type laterIncarnationError struct{}

func (laterIncarnationError) Error() string {
	return "a member remembers a later incarnation of this node, which joins again as a new one"
}
func (laterIncarnationError) Is(target error) bool { return target == errs.ErrEvicted }
