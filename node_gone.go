package ringdht

import "github.com/x/ringdht/internal/control"

// goneLives remembers which lives of other nodes are over, so that they are not
// listened to any more.
type goneLives struct {
	latest map[uint64]uint64 // by ID
	order  []uint64          // the oldest first
}

// maxGone bounds them. A life that is over hears of it within a lease of waking up.
const maxGone = 4096

func (g *goneLives) add(id, life uint64) {
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
	g.latest[id] = max(g.latest[id], life)
}

func (g *goneLives) has(id, life uint64) bool {
	latest, ok := g.latest[id]
	return ok && life <= latest
}

// forgive forgets which lives are over: a new registry may have taken one back.
func (n *Node) forgive() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.over, n.bygone = goneLives{}, goneLives{}
}

// hasEnded says whether a life of another node is known to have left, or to be over.
func (n *Node) hasEnded(id, life uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.over.has(id, life) || n.bygone.has(id, life)
}

// isOver says whether a life of another node is known to be over.
func (n *Node) isOver(id, life uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.over.has(id, life)
}

// left takes note that nodes have left in good order. Links from them stay, since they
// still pass on what they hold.
func (l *life) left(refs []control.Ref) {
	for _, g := range refs {
		l.n.mu.Lock()
		l.n.bygone.add(g.ID, g.Life)
		l.n.mu.Unlock()
		l.plane.Left(g.ID, g.Life)
	}
}

// gone takes note that lives of other nodes are over.
func (l *life) gone(refs []control.Ref) {
	for _, g := range refs {
		l.n.mu.Lock()
		l.n.over.add(g.ID, g.Life)
		l.n.mu.Unlock()
		l.plane.Gone(g.ID, g.Life)
	}
}
