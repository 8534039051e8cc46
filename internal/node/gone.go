package node

import "github.com/x/ringdht/internal/ring"

// goneIncarnations remembers which incarnations of other nodes are over: of each ID the
// greatest.
type goneIncarnations struct {
	latest map[uint64]uint64 // by ID
	order  []uint64          // IDs, the oldest first
}

// maxGone bounds the IDs that are remembered. A node whose incarnation is over learns so
// within a lease after it resumes, so an entry is of use for a short time only.
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

// forgetGone forgets which incarnations are over: a new registry may have taken one back.
func (n *Node) forgetGone() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead, n.departed, n.parting = goneIncarnations{}, goneIncarnations{}, goneIncarnations{}
}

// hasEnded reports whether an incarnation of another node is known to be dead, or to have left.
func (n *Node) hasEnded(id, inc uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dead.has(id, inc) || n.departed.has(id, inc)
}

// isDead reports whether an incarnation of another node is known to be dead.
func (n *Node) isDead(id, inc uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dead.has(id, inc)
}

// markLeft notes that incarnations have left in good order. Links from them stay, since they
// still relay what they hold.
func (inc *incarnation) markLeft(refs []ring.Ref) {
	for _, g := range refs {
		inc.n.mu.Lock()
		inc.n.departed.add(g.ID, g.Incarnation)
		inc.n.mu.Unlock()
		inc.plane.Left(g.ID, g.Incarnation)
	}
}

// markLeaving notes that incarnations are about to leave, for loops over members. They are there still.
func (n *Node) markLeaving(refs []ring.Ref) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, g := range refs {
		n.parting.add(g.ID, g.Incarnation)
	}
}

// markDead notes that incarnations were declared dead. The plane takes nothing more from them.
func (inc *incarnation) markDead(refs []ring.Ref) {
	for _, g := range refs {
		inc.n.mu.Lock()
		inc.n.dead.add(g.ID, g.Incarnation)
		inc.n.mu.Unlock()
		inc.plane.Evict(g.ID, g.Incarnation)
	}
}
