package registry

import (
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// Members lists the registered nodes by ascending ID.
func (r *Registry) Members() []status.Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return peers(r.members.All())
}

// Epoch is the version of the membership and the tables. It only grows, also when
// another registry takes this one's place.
func (r *Registry) Epoch() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members.Epoch()
}

// Degraded lists the pairs that cannot talk directly, by the first one's ID.
func (r *Registry) Degraded() []status.Degraded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.degraded()
}

// degraded needs mu.
func (r *Registry) degraded() []status.Degraded {
	list := []status.Degraded{}
	for _, p := range r.members.Unreachable() {
		list = append(list, status.Degraded{From: peer(p.From), To: peer(p.To), Why: p.Why})
	}
	return list
}

// Table is a member's routing table.
type Table struct {
	Bits  int
	Self  status.Peer
	Epoch uint64
	Peers []status.Peer // clockwise
}

// Tables returns the tables of the members that are in the ring.
func (r *Registry) Tables() (tables []Table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members.All() {
		view, ok := r.members.View(m.ID)
		if !ok {
			continue
		}
		t := Table{Bits: r.cfg.Bits, Self: peer(m), Epoch: r.members.Epoch(), Peers: make([]status.Peer, 0, len(view.Entries))}
		for _, e := range view.Entries {
			if p, ok := r.members.Holder(e.ID); ok { // else it died a moment ago
				t.Peers = append(t.Peers, peer(p))
			}
		}
		tables = append(tables, t)
	}
	return tables
}

func peer(m ring.Member) status.Peer { return status.Peer{ID: status.ID(m.ID), Addr: m.Addr} }

func peers(members []ring.Member) []status.Peer {
	list := make([]status.Peer, len(members))
	for i, m := range members {
		list[i] = peer(m)
	}
	return list
}
