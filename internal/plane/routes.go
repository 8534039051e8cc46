package plane

import (
	"maps"
	"slices"

	"github.com/x/ringdht/internal/ring"
)

// Routes is a plane's routing table.
type Routes struct {
	Epoch     uint64
	Entries   []uint64          // clockwise from self; those whose link is up are used
	Successor uint64            // the next member clockwise; Self if the node is alone
	Stubs     []uint64          // members to which the node is the last hop, see [ring.Router]; of Keep as well
	Detours   map[uint64]uint64 // a member that cannot be reached -> the peer through which it can
	Keep      []uint64          // further peers whose links stay (waypoints of detours, links of a table being replaced)
	// Authoritative means that the node may tell others that an ID is not taken, see
	// [ring.Router].Authoritative.
	Authoritative bool
}

func (r *Routes) clone() Routes {
	return Routes{r.Epoch, slices.Clone(r.Entries), r.Successor, slices.Clone(r.Stubs), maps.Clone(r.Detours), slices.Clone(r.Keep), r.Authoritative}
}

// names reports whether the link to a peer stays.
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

// snapshot is the routes in force, less every link that is not up. It is immutable, so one atomic
// load serves a whole batch.
type snapshot struct {
	ring.Router
	// Ways that frames can take. Those at the front belong to the entries in Up.
	ways       []way
	detourWays []int          // indices of ways, for each of Detours
	toSink     map[uint64]int // indices of ways, by peer: for the second half of a detour
}

// way is a direction that frames take. Ways over the same link differ in what happens to their
// frames when the link ends.
type way struct {
	link   *outLink
	detour bool // frames are marked, for the waypoint at the other end
	toSink bool // for frames that were marked: this link or none
}

// SetRoutes makes these the routes in force. Links that they do not name write what they hold and end.
// Links that they name are used as soon as they are there, see [Plane.AddLink].
func (p *Plane) SetRoutes(r Routes) {
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

// rebuild makes a new snapshot. It is called whenever the routes in force or the links have
// changed, so that no frame goes to a link that is known to have ended. It needs mu.
func (p *Plane) rebuild() {
	t := &p.table
	s := &snapshot{
		Router: ring.Router{
			Mask: p.mask, Self: p.Self, HopLimit: p.HopLimit, Epoch: t.Epoch, Successor: t.Successor, Stubs: t.Stubs, Authoritative: t.Authoritative,
		},
		toSink: make(map[uint64]int, len(p.links)),
	}
	for _, id := range t.Entries {
		if l := p.links[id]; l != nil {
			s.Up = append(s.Up, id)
			s.ways = append(s.ways, way{link: l})
		}
	}
	for id, l := range p.links {
		if t.names(id) {
			s.toSink[id] = len(s.ways)
			s.ways = append(s.ways, way{link: l, toSink: true})
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
	if was := p.routes.Load(); was.Router.Epoch != s.Router.Epoch || !slices.Equal(was.Up, s.Up) || !slices.Equal(was.Detours, s.Detours) || !slices.Equal(was.Stubs, s.Stubs) {
		p.timers.hurry.Store(true)
	}
	p.routes.Store(s)
}

// wayOf returns the index of the way for a decision about a frame for dst, or -1 if the frame is
// dropped. i is the index that came with the decision.
func (s *snapshot) wayOf(a ring.Action, i int, dst uint64) int {
	switch a {
	case ring.Forward:
		return i
	case ring.Detour:
		return s.detourWays[i]
	case ring.Direct:
		if i, ok := s.toSink[dst]; ok {
			return i
		}
	}
	return -1
}

// Epoch is the epoch of the routes in force, 0 before the first ones.
func (p *Plane) Epoch() uint64 { return p.routes.Load().Router.Epoch }
