package membership

import (
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// peers looks up how to dial lives that are in the ring.
func (a *Authority) peers(refs []ring.Ref) []control.Peer {
	list := make([]control.Peer, len(refs))
	for i, r := range refs {
		list[i] = a.by[r.ID].peer()
	}
	return list
}

// manifest is everything that a member is to know.
func (a *Authority) manifest(m *member, view ring.View, members int) control.Manifest {
	note := control.Manifest{
		Epoch: a.epoch, Size: a.layout.K, Members: members,
		Entries: a.peers(view.Entries), Successors: a.peers(view.Successors),
		Detours: m.detours, Hold: m.hold,
	}
	if a.layout.Fewest {
		note.Plan = control.FewestHops
	}
	note.Others, note.Idle = a.others(m)
	return note
}

// others lists the members that were announced, or a sample of them.
func (a *Authority) others(m *member) (others, idle []uint64) {
	all := a.ring.All()
	known := all[:0]
	for _, o := range all {
		if a.by[o.ID].announced && o.ID != m.ID {
			known = append(known, o)
		}
	}
	if n := len(known); n > control.MaxOthers { // a partial shuffle
		for i := range control.MaxOthers {
			j := i + int(a.Draw(uint64(n-i)))
			known[i], known[j] = known[j], known[i]
		}
		known = known[:control.MaxOthers]
	}
	for _, o := range known {
		others = append(others, o.ID)
		if !o.Traffic {
			idle = append(idle, o.ID)
		}
	}
	return others, idle
}
