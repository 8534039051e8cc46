package node

import (
	"github.com/x/ringdht/internal/control"
)

// goneIncarnations remembers which lives of other nodes are over, so that they are not
// listened to any more.
type goneIncarnations struct {
	latest map[uint64]uint64 // by ID
	order  []uint64          // the oldest first
}

// maxGone bounds them. A life that is over hears of it within a lease of waking up.
const maxGone = 4096

func (g *goneIncarnations) add(id, inc uint64) {
	if g.latest == nil {
		g.latest = make(map[uint64]uint64)
	}
	if _, known := g.latest[id]; !known {
		if len(g.order) == maxGone {
			delete(g.latest, g.order[0])
			g.order = g.order[1:]
		}
		g.order = append(g.order, id)
	}
	g.latest[id] = max(g.latest[id], inc)
}

func (g *goneIncarnations) has(id, inc uint64) bool {
	latest, ok := g.latest[id]
	return ok && inc <= latest
}

// forgetGone forgets which lives are over: a new registry may have taken one back.
func (n *Node) forgetGone() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead, n.departed = goneIncarnations{}, goneIncarnations{}
}

// hasEnded says whether a life of another node is known to have left, or to be over.
func (n *Node) hasEnded(id, inc uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dead.has(id, inc) || n.departed.has(id, inc)
}

// isDead says whether a life of another node is known to be over.
func (n *Node) isDead(id, inc uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dead.has(id, inc)
}

// markLeft takes note that nodes have markLeft in good order. Links from them stay, since they
// still pass on what they hold.
func (inc *incarnation) markLeft(refs []control.Ref) {
	for _, g := range refs {
		inc.n.mu.Lock()
		inc.n.departed.add(g.ID, g.Incarnation)
		inc.n.mu.Unlock()
		inc.plane.Left(g.ID, g.Incarnation)
	}
}

// markDead takes note that lives of other nodes are over.
func (inc *incarnation) markDead(refs []control.Ref) {
	for _, g := range refs {
		inc.n.mu.Lock()
		inc.n.dead.add(g.ID, g.Incarnation)
		inc.n.mu.Unlock()
		inc.plane.Evict(g.ID, g.Incarnation)
	}
}
