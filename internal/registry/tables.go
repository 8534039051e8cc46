package registry

import (
	"fmt"
	"time"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// Members lists the members by ascending ID, suspects and leavers included.
func (r *Registry) Members() []status.Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return peers(r.members.All())
}

// Epoch returns the version of the membership.
func (r *Registry) Epoch() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members.Epoch()
}

// Degraded lists the unreachable pairs.
func (r *Registry) Degraded() []status.Degraded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.degraded()
}

// degraded is Degraded for a caller that holds mu. The list is never nil.
func (r *Registry) degraded() []status.Degraded {
	list := []status.Degraded{}
	for _, p := range r.members.Unreachable() {
		list = append(list, status.Degraded{From: peer(p.From), To: peer(p.To), Why: p.Why})
	}
	for _, p := range r.members.StuckPairs() {
		list = append(list, status.Degraded{From: peer(p.From), To: peer(p.To), Why: fmt.Sprintf("no message comes through for %v, and the registry looks for the relay that passes nothing on", p.Silent.Round(100*time.Millisecond))})
	}
	return list
}

// sidelined lists the members that are led around. It is never nil. It needs mu.
func (r *Registry) sidelined() []status.Sidelined {
	list := []status.Sidelined{}
	for _, s := range r.members.Sidelined() {
		list = append(list, status.Sidelined{
			Node: peer(s.Member), Incarnation: s.Member.Incarnation, Since: r.start.Add(s.Since), Trial: s.Trial, Pairs: s.Pairs, Why: s.Why,
		})
	}
	return list
}

// leftOut lists the members that nothing waits for. The list is never nil. It needs mu.
func (r *Registry) leftOut() []status.LeftOut {
	list := []status.LeftOut{}
	for _, m := range r.members.AllLeftOut() {
		list = append(list, status.LeftOut{Node: peer(m.Member), Incarnation: m.Member.Incarnation, Since: r.start.Add(m.At), Why: m.Why})
	}
	return list
}

// Table is a member's routing table.
type Table struct {
	Bits  int
	Self  status.Peer
	Epoch uint64
	Peers []status.Peer // clockwise
	Stubs []uint64      // members that are led around, and that it is the last hop to
}

// Tables returns the tables that the members were given, by ascending ID. A member without a table
// is left out.
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
		t.Stubs = r.members.LastHops(m.ID)
		tables = append(tables, t)
	}
	return tables
}

// peer is a member as the root package shows it.
func peer(m ring.Member) status.Peer { return status.Peer{ID: status.ID(m.ID), Addr: m.Addr} }

// peers is peer for a list.
func peers(members []ring.Member) []status.Peer {
	list := make([]status.Peer, len(members))
	for i, m := range members {
		list[i] = peer(m)
	}
	return list
}
