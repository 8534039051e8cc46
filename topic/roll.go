package topic

import (
	"maps"
	"slices"

	"github.com/x/ringdht/status"
	"github.com/x/ringdht/topic/internal/broadcast"
)

// roll compares what the events of Watch have told with the service's list. Events come one by one,
// and an epoch is that of a whole list: it counts when the two agree. Only Watch says how a member has
// ended, and only the list says which epoch it has.
type roll struct {
	told   map[uint64]uint64 // by Watch: the incarnations of the other members, by ID
	list   map[uint64]uint64 // the latest list, if it has an epoch
	epoch  uint64            // of list
	listed bool              // the node itself is on it
	differ int               // the number of IDs in which the two differ

	joined, left, died []broadcast.Member // told since the latest Change
}

// tell takes an event about another member.
func (r *roll) tell(e status.MemberEvent) {
	m := broadcast.Member{ID: uint64(e.ID), Incarnation: e.Incarnation}
	if r.told == nil {
		r.told = make(map[uint64]uint64)
	}
	was := r.differs(m.ID)
	if e.Change.Over() {
		delete(r.told, m.ID)
		r.note(m, e.Change)
	} else {
		r.told[m.ID] = m.Incarnation
		r.joined = append(r.joined, m)
	}
	r.differ += r.differs(m.ID) - was
}

// note notes an end. That of a member of which the core has not heard cancels out.
func (r *roll) note(m broadcast.Member, how status.MemberChange) {
	if at := slices.Index(r.joined, m); at >= 0 {
		r.joined = slices.Delete(r.joined, at, at+1)
	} else if how == status.MemberDied {
		r.died = append(r.died, m)
	} else { // if it is not known how, it may have left
		r.left = append(r.left, m)
	}
}

func (r *roll) differs(id uint64) int {
	told, is := r.told[id]
	listed, ok := r.list[id]
	if is == ok && told == listed {
		return 0
	}
	return 1
}

// look takes the service's list, which has the node itself first, if it has it.
func (r *roll) look(members []status.MemberInfo, epoch uint64, self broadcast.Member) {
	r.list, r.epoch, r.differ, r.listed = make(map[uint64]uint64, len(members)), epoch, 0, false
	for _, info := range members {
		m := broadcast.Member{ID: uint64(info.ID), Incarnation: info.Incarnation}
		if m.ID == self.ID {
			r.listed = m == self
			continue
		}
		r.list[m.ID] = m.Incarnation
		r.differ += r.differs(m.ID)
	}
	for id := range r.told {
		if _, ok := r.list[id]; !ok {
			r.differ++
		}
	}
}

// agreed reports whether the events have told the whole list.
func (r *roll) agreed() bool { return r.epoch > 0 && r.differ == 0 }

// members are those that were told, by ID.
func (r *roll) members() (all []broadcast.Member) {
	for _, id := range slices.Sorted(maps.Keys(r.told)) {
		all = append(all, broadcast.Member{ID: id, Incarnation: r.told[id]})
	}
	return all
}

// clear forgets changes that the core knows.
func (r *roll) clear() { r.joined, r.left, r.died = nil, nil, nil }
