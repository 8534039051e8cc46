package keys

import (
	"slices"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/status"
)

// maxOver bounds the ended lives of which late bodies are recognised.
const maxOver = 4096

// roll is what the list of the traffic service has told of other lives, and of this one.
type roll struct {
	ids    map[uint64]ringdht.ID // of lives that are on the list
	owners arc.Placement         // as of the latest guess; a node that sends nothing makes none
	fresh  map[uint64]ringdht.ID // owners that are not in it yet

	over map[uint64]bool // lives that have ended, the latest ones
	past []uint64        // the same, from next on in the order of their ends
	next int
}

func (r *roll) init() {
	r.ids, r.over, r.fresh = make(map[uint64]ringdht.ID), make(map[uint64]bool), make(map[uint64]ringdht.ID)
}

// list notes a life that is on the list. It places no owner: that costs a pass over all positions, and
// when a thousand owners join, each node hears of each.
func (r *roll) list(life uint64, id ringdht.ID, owner bool) {
	r.ids[life] = id
	if owner {
		r.fresh[life] = id
	}
}

// guess is the owner that should hold a point, as far as the list tells.
func (r *roll) guess(point uint64) uint64 {
	if len(r.fresh) > 0 {
		members := make([]arc.Member, 0, len(r.fresh))
		for life, id := range r.fresh {
			members = append(members, arc.Member{Life: life, Positions: arc.Positions(arc.NodePoint(uint64(id)), arc.DefaultPositions)})
		}
		clear(r.fresh)
		r.owners.Add(members...)
	}
	return r.owners.At(point)
}

// end notes the end of a life.
func (r *roll) end(life uint64) {
	r.unlist(life)
	if r.over[life] {
		return
	}
	r.over[life] = true
	if len(r.past) < maxOver {
		r.past = append(r.past, life)
		return
	}
	delete(r.over, r.past[r.next])
	r.past[r.next] = life
	r.next = (r.next + 1) % maxOver
}

func (r *roll) unlist(life uint64) {
	delete(r.ids, life)
	if _, fresh := r.fresh[life]; fresh {
		delete(r.fresh, life)
		return
	}
	r.owners.Remove(life)
}

// follow tells the life of the members that come and go. It ends with the node.
func (h *hub) follow() {
	for e := range h.traffic.Watch(h.ctx) {
		h.mu.Lock()
		h.tell(e)
		h.mu.Unlock()
	}
	h.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endLife(ringdht.ErrClosed)
	h.closed = true
	h.endWaiting(ringdht.ErrClosed)
	h.announce()
}

// tell needs mu.
func (h *hub) tell(e status.MemberEvent) {
	life, l := e.Incarnation, h.life
	switch {
	case e.Change == status.MemberLeft: // it gives away what it holds, and is not over before that
		h.roll.unlist(life)
		if l != nil && l.peers[life] != nil {
			l.peers[life].listed, l.peers[life].left = false, true
			l.ask()
		}
	case e.Change.Over() && e.Self:
		h.roll.unlist(life)
	case e.Change.Over():
		h.gone(life)
	case h.roll.over[life]:
		return
	default:
		if l != nil && !e.Self {
			l.replaced(e.ID, life)
		}
		h.roll.list(life, e.ID, slices.Contains(e.Services, h.name))
		if l != nil && !e.Self {
			l.listed(life, e.ID)
		}
	}
	if l = h.life; l != nil {
		l.source.Retry()
		l.settle()
	}
}

// replaced ends lives that have left, since another one has their ID. It needs mu.
func (l *life) replaced(id ringdht.ID, by uint64) {
	for other, p := range l.peers {
		if p.left && p.id == id && other != by {
			l.h.gone(other)
		}
	}
}

// gone takes the end of another life. It needs mu.
func (h *hub) gone(life uint64) {
	h.roll.end(life)
	l := h.life
	if l == nil {
		return
	}
	if p := l.peers[life]; p != nil {
		p.channel.Close()
		l.counted.addChannel(p.channel.Counters())
		delete(l.peers, life)
		p.signal()
	}
	l.source.Gone(life)
	l.owner.Gone(life)
	if h.leaving {
		h.announce()
	}
	l.settle()
}
