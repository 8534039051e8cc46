package peers

import (
	"maps"
	"slices"

	"github.com/x/ringdht/internal/ring"
)

// Routes is a node's routing table.
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

// Snapshot is the routes in force, less every link that is not up. It is immutable, so one atomic
// load serves a whole batch.
type Snapshot struct {
	ring.Router
	// Ways that frames can take. Those at the front belong to the entries in Up.
	Ways []Way
	// Reach grows when it may have changed which nodes can be reached.
	Reach uint64

	detourWays []int          // indices of ways, for each of Detours
	toSink     map[uint64]int // indices of ways, by peer: for the second half of a detour
}

// Way is a direction that frames take. Ways over the same link differ in what happens to their
// frames when the link ends.
type Way struct {
	Link   *Link
	Detour bool // frames are marked, for the waypoint at the other end
	ToSink bool // for frames that were marked: this link or none
}

// SetRoutes makes these the routes in force. Links that they do not name write what they hold and end.
// Links that they name are used as soon as they are there, see [Set.Dialled].
func (s *Set) SetRoutes(r Routes) {
	r = r.clone()
	var old []*Link
	s.mu.Lock()
	s.table = r
	for id, l := range s.links {
		if !r.names(id) {
			delete(s.links, id)
			l.conn.sendState = dirEnded
			old = append(old, l)
		}
	}
	for id := range s.unanswered {
		if !r.names(id) {
			delete(s.unanswered, id)
		}
	}
	s.rebuild()
	s.mu.Unlock()
	for _, l := range old {
		l.retire()
	}
}

// rebuild makes a new snapshot. It is called whenever the routes in force or the links have
// changed, so that no frame goes to a link that is known to have ended. It needs mu.
func (s *Set) rebuild() {
	t := &s.table
	n := &Snapshot{
		Router: ring.Router{
			Mask: s.mask, Self: s.cfg.Self, HopLimit: s.cfg.HopLimit, Epoch: t.Epoch, Successor: t.Successor, Stubs: t.Stubs, Authoritative: t.Authoritative,
		},
		toSink: make(map[uint64]int, len(s.links)),
	}
	for _, id := range t.Entries {
		if l := s.links[id]; l != nil {
			n.Up = append(n.Up, id)
			n.Ways = append(n.Ways, Way{Link: l})
		}
	}
	for id, l := range s.links {
		if t.names(id) {
			n.toSink[id] = len(n.Ways)
			n.Ways = append(n.Ways, Way{Link: l, ToSink: true})
		}
	}
	by := make(map[uint64]int) // sinks with the same waypoint share a way, and so a batch
	for _, sink := range slices.Sorted(maps.Keys(t.Detours)) {
		waypoint := t.Detours[sink]
		l := s.links[waypoint]
		if l == nil {
			continue
		}
		if _, ok := by[waypoint]; !ok {
			by[waypoint] = len(n.Ways)
			n.Ways = append(n.Ways, Way{Link: l, Detour: true})
		}
		n.Detours, n.detourWays = append(n.Detours, sink), append(n.detourWays, by[waypoint])
	}
	was := s.routes.Load()
	n.Reach = was.Reach
	if was.Router.Epoch != n.Router.Epoch || !slices.Equal(was.Up, n.Up) || !slices.Equal(was.Detours, n.Detours) || !slices.Equal(was.Stubs, n.Stubs) {
		n.Reach++
	}
	s.routes.Store(n)
}

// WayOf returns the index of the way for a decision about a frame for dst, or -1 if the frame is
// dropped. i is the index that came with the decision.
func (s *Snapshot) WayOf(a ring.Action, i int, dst uint64) int {
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
func (s *Set) Epoch() uint64 { return s.routes.Load().Router.Epoch }

// Routes returns the routes in force, less every link that is not up.
func (s *Set) Routes() *Snapshot { return s.routes.Load() }
