package plane

import "github.com/x/ringdht/internal/ring"

// members is some of the nodes that exist, see [Plane.SetList].
type members struct {
	list *ring.List
	all  bool // no other node exists, unless it is new
}

// find looks for a member. Its incarnation is 0 if the registry has not told.
func (m *members) find(id uint64) (incarnation uint64, ok bool) {
	if m == nil {
		return 0, false
	}
	found, ok := m.list.Find(id)
	return found.Incarnation, ok
}

// SetList tells which nodes exist and can be reached, because all tables lead to them. all means that
// no others exist, unless they are new.
func (p *Plane) SetList(list *ring.List, all bool) {
	now := &members{list, all}
	p.members.Store(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, left := range p.leftSinks { // the registry has confirmed that it left, or another node has its ID
		if inc, ok := now.find(id); !ok || inc > left && left > 0 {
			delete(p.leftSinks, id)
		}
	}
}

// maxLeft bounds the sinks that are known to leave before the registry has said so. Beyond it,
// messages for a sink that leaves may be accepted and come back.
const maxLeft = 1024

// noteLeft notes that a sink has said that it leaves, and its incarnation, 0 if that is not known.
func (p *Plane) noteLeft(sink, incarnation uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leftSinks == nil {
		p.leftSinks = make(map[uint64]uint64)
	}
	if was, ok := p.leftSinks[sink]; ok || len(p.leftSinks) < maxLeft {
		p.leftSinks[sink] = max(was, incarnation)
	}
}

// noteHere notes that an incarnation of a node is here, which ends the word of an earlier one that
// it leaves.
func (p *Plane) noteHere(id, incarnation uint64) {
	p.mu.RLock()
	left, ok := p.leftSinks[id]
	p.mu.RUnlock()
	if ok && incarnation > left {
		p.mu.Lock()
		delete(p.leftSinks, id)
		p.mu.Unlock()
	}
}

// isLeaving reports whether the only incarnation of a sink that this node has heard of has said
// that it leaves. It needs mu.
//
// No stream to it can open any more, and the tables may lead there no longer. Without a registry
// no node would say so, and a call that asked would wait until there is one.
func (p *Plane) isLeaving(sink uint64) bool {
	left := p.leftSinks[sink]
	if left == 0 {
		return false
	}
	inc, ok := p.members.Load().find(sink)
	return ok && inc == left
}

// known reports whether a node is known to exist, and has not said that it leaves. The first
// message for another node waits for an answer.
func (p *Plane) known(id uint64) bool {
	if _, ok := p.members.Load().find(id); !ok {
		return false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, left := p.leftSinks[id]
	return !left
}
