// Package roster is what the data plane of a node knows of which nodes exist: the members of which the
// registry has told, and the sinks that have said that they leave.
package roster

import (
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/ring"
)

// Roster is what a node knows of the others. Its zero value knows none. All methods may be called at
// the same time. Its lock is a leaf, and finding a member takes none.
type Roster struct {
	members atomic.Pointer[members]

	mu      sync.RWMutex
	leaving map[uint64]uint64 // sinks that have said that they leave, with their incarnations
}

// members is immutable.
type members struct {
	list *ring.List
	all  bool
}

// maxLeaving bounds the sinks that are known to leave before the registry has said so. Beyond it,
// messages for a sink that leaves may be accepted and come back.
const maxLeaving = 1024

// Set tells which nodes exist and can be reached, because all tables lead to them. all means that no
// others exist, unless they are new. The list must not change.
func (r *Roster) Set(list *ring.List, all bool) {
	r.members.Store(&members{list, all})
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, left := range r.leaving { // the registry has confirmed that it left, or another node has its ID
		if inc, ok := r.find(id); !ok || inc > left && left > 0 {
			delete(r.leaving, id)
		}
	}
}

// find looks for a member. Its incarnation is 0 if the registry has not told.
func (r *Roster) find(id uint64) (incarnation uint64, ok bool) {
	m := r.members.Load()
	if m == nil {
		return 0, false
	}
	found, ok := m.list.Find(id)
	return found.Incarnation, ok
}

// KnowsAll reports whether all nodes are known, but for new ones.
func (r *Roster) KnowsAll() bool {
	m := r.members.Load()
	return m != nil && m.all
}

// Unproven reports whether an incarnation of a node is not known to exist.
func (r *Roster) Unproven(id, inc uint64) bool {
	known, ok := r.find(id)
	return !ok || r.KnowsAll() && known != 0 && known != inc
}

// Left notes that a sink has said that it leaves, and its incarnation, 0 if that is not known.
func (r *Roster) Left(sink, incarnation uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leaving == nil {
		r.leaving = make(map[uint64]uint64)
	}
	if was, ok := r.leaving[sink]; ok || len(r.leaving) < maxLeaving {
		r.leaving[sink] = max(was, incarnation)
	}
}

// Here notes that an incarnation of a node is here, which ends the word of an earlier one that it
// leaves.
func (r *Roster) Here(id, incarnation uint64) {
	if _, ok := r.left(id); !ok { // the usual case takes no lock that excludes others
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if incarnation > r.leaving[id] {
		delete(r.leaving, id)
	}
}

func (r *Roster) left(id uint64) (incarnation uint64, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	incarnation, ok = r.leaving[id]
	return incarnation, ok
}

// Leaves reports whether the only incarnation of a sink that this node has heard of has said that it
// leaves.
//
// No stream to it can open any more, and the tables may lead there no longer. Without a registry no
// node would say so, and a call that asked would wait until there is one.
func (r *Roster) Leaves(sink uint64) bool {
	left, _ := r.left(sink)
	inc, ok := r.find(sink)
	return ok && left > 0 && inc == left
}

// Stays reports whether a node is known to exist, and has not said that it leaves. The first message
// for another node waits for an answer.
func (r *Roster) Stays(id uint64) bool {
	if _, ok := r.find(id); !ok {
		return false
	}
	_, left := r.left(id)
	return !left
}
