package plane

import (
	"maps"
	"slices"

	"github.com/x/ringdht/internal/ring"
)

// Routes is what a plane routes by.
type Routes struct {
	Epoch     uint64
	Entries   []uint64          // clockwise from self; frames go to those whose link is up
	Successor uint64            // the member right behind this node; Self if it is alone
	Detours   map[uint64]uint64 // a member that cannot be reached -> the peer through which it can
	Keep      []uint64          // further peers whose links stay (waypoints of detours, links of a table being replaced)
	// Sure says that what is known of the successor may be told to others: that there
	// is no such node is only said then, see [ring.Outlook].
	Sure bool
}

func (r *Routes) clone() Routes {
	return Routes{r.Epoch, slices.Clone(r.Entries), r.Successor, maps.Clone(r.Detours), slices.Clone(r.Keep), r.Sure}
}

// names says whether the link to a peer stays.
func (r *Routes) names(id uint64) bool {
	if slices.Contains(r.Entries, id) || slices.Contains(r.Keep, id) {
		return true
	}
	for _, by := range r.Detours {
		if by == id {
			return true
		}
	}
	return false
}

// snapshot is what frames are routed by: the routes in force, less every link that
// is not up. It is immutable, so one atomic load serves a whole batch.
type snapshot struct {
	ring.Router
	// ways are where frames can go. Those at the front are to the entries in Up; the
	// rest are found by what follows.
	ways       []way
	detourWays []int          // for each of Detours
	direct     map[uint64]int // by peers: the second half of somebody's detour
}

// way is one direction that frames take. Ways to the same link differ in what
// becomes of their frames when the link ends.
type way struct {
	link   *outLink
	detour bool // frames are marked, for the waypoint at the other end
	direct bool // frames that were marked: by this link, or by none
}

// Use makes these the routes in force. Links that they do not name write what they
// hold and end; those that they name are used as soon as they are there, see
// [Plane.AddLink].
func (p *Plane) Use(r Routes) {
	r = r.clone()
	var old []*outLink
	p.mu.Lock()
	p.table = r
	for id, l := range p.links {
		if !r.names(id) {
			delete(p.links, id)
			l.sendState = dirEnded
			old = append(old, l)
		}
	}
	for id := range p.unanswered {
		if !r.names(id) {
			delete(p.unanswered, id)
		}
	}
	p.rebuild()
	p.mu.Unlock()
	for _, l := range old {
		l.retire()
	}
}

// rebuild needs mu. It is called whenever the routes in force or the links that are
// up have changed, so that no frame goes to a link that is known to have ended.
func (p *Plane) rebuild() {
	t := &p.table
	s := &snapshot{
		Router: ring.Router{
			Mask: p.mask, Self: p.Self, HopLimit: p.HopLimit, Epoch: t.Epoch, Successor: t.Successor, Authoritative: t.Sure,
		},
		direct: make(map[uint64]int, len(p.links)),
	}
	for _, id := range t.Entries {
		if l := p.links[id]; l != nil {
			s.Up = append(s.Up, id)
			s.ways = append(s.ways, way{link: l})
		}
	}
	for id, l := range p.links {
		if t.names(id) {
			s.direct[id] = len(s.ways)
			s.ways = append(s.ways, way{link: l, direct: true})
		}
	}
	by := make(map[uint64]int) // sinks with the same waypoint share a way, and so a batch
	for _, sink := range slices.Sorted(maps.Keys(t.Detours)) {
		waypoint := t.Detours[sink]
		l := p.links[waypoint]
		if l == nil {
			continue
		}
		if _, ok := by[waypoint]; !ok {
			by[waypoint] = len(s.ways)
			s.ways = append(s.ways, way{link: l, detour: true})
		}
		s.Detours, s.detourWays = append(s.Detours, sink), append(s.detourWays, by[waypoint])
	}
	if was := p.routes.Load(); !slices.Equal(was.Up, s.Up) || !slices.Equal(was.Detours, s.Detours) {
		p.timers.hurry.Store(true)
	}
	p.routes.Store(s)
}

// wayOf returns the index of the way that a decision about a frame for dst stands for, or
// -1 if the frame goes no further. i is the index that came with the decision.
func (s *snapshot) wayOf(a ring.Action, i int, dst uint64) int {
	switch a {
	case ring.Forward:
		return i
	case ring.Detour:
		return s.detourWays[i]
	case ring.Direct:
		if i, ok := s.direct[dst]; ok {
			return i
		}
	}
	return -1
}

// Epoch is the epoch of the routes in force, 0 before the first.
func (p *Plane) Epoch() uint64 { return p.routes.Load().Router.Epoch }

// Know says which nodes exist and can be reached: everybody's tables lead to them. The
// caller does not change the list any more.
func (p *Plane) Know(members []uint64) {
	p.members.Store(&members)
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.leftSinks { // that it has left is known now: what has its ID from here on is another node
		if !slices.Contains(members, id) {
			delete(p.leftSinks, id)
		}
	}
}

// maxLeft bounds the sinks that are known to leave before the registry has said so. What is
// sent to others meanwhile may be accepted, and come back.
const maxLeft = 1024

// departed takes note that a sink leaves: the next message for it waits for an answer.
func (p *Plane) noteLeft(sink uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leftSinks == nil {
		p.leftSinks = make(map[uint64]struct{})
	}
	if len(p.leftSinks) < maxLeft {
		p.leftSinks[sink] = struct{}{}
	}
}

// returned takes note that a sink has answered.
func (p *Plane) noteAnswered(sink uint64) {
	p.mu.RLock()
	none := len(p.leftSinks) == 0
	p.mu.RUnlock()
	if !none {
		p.mu.Lock()
		delete(p.leftSinks, sink)
		p.mu.Unlock()
	}
}

// known says whether a node is known to exist. It is asked when a stream is opened, which
// costs much more than to look through a list of a thousand: a sorted copy of it would
// cost every idle node 8 KiB.
func (p *Plane) known(id uint64) bool {
	members := p.members.Load()
	if members == nil || !slices.Contains(*members, id) {
		return false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, left := p.leftSinks[id]
	return !left
}
