package registry

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/ring"
)

// maxKeyMoves is how many moves of a service a snapshot lists.
const maxKeyMoves = 100

// KeyService is what a registry shows of a service with keys.
type KeyService struct {
	Service         string
	Recovering      bool // it waits for reports
	Owners, Sources int  // lives that have reported: that offer to hold arcs, and that only send
	Arcs            int  // with a holder; one that moves in part counts as several
	Moving          int  // moves under way
	Moves           []KeyMove
	Done, Merges    uint64 // moves that have ended with the state at the receiver; shares that got one term
}

// KeyMove is a move under way, the first of its arcs.
type KeyMove struct {
	Arc      arc.Arc
	From, To ring.Ref
	Since    time.Time
}

// Keys lists the services with keys by name. It copies the arcs of one after the other.
func (r *Registry) Keys() []KeyService {
	k := &r.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []KeyService
	for _, name := range slices.Sorted(maps.Keys(k.services)) {
		all = append(all, k.services[name].show())
	}
	return all
}

func (v *keyService) show() KeyService {
	s := KeyService{Service: strings.Clone(v.name), Recovering: v.recovering, Done: v.done, Merges: v.authority.Merges}
	for _, l := range v.lives {
		if l.offers {
			s.Owners++
		} else {
			s.Sources++
		}
	}
	under := make(map[uint64]struct{})
	for p := range v.authority.Pieces() {
		s.Arcs++
		if _, known := under[p.Move]; p.Receiver == 0 || known {
			continue
		}
		under[p.Move] = struct{}{}
		if len(s.Moves) < maxKeyMoves {
			s.Moves = append(s.Moves, KeyMove{p.Arc, v.ref(p.Holder), v.ref(p.Receiver), v.since(p.Move)})
		}
	}
	s.Moving = len(under)
	return s
}

// ref names a life. Without a report of its own it is known as a number.
func (v *keyService) ref(life uint64) ring.Ref {
	if l := v.lives[life]; l != nil {
		return l.ref
	}
	return ring.Ref{Incarnation: life}
}

// KeyOwner is the member that holds a point of a service with keys.
func (r *Registry) KeyOwner(service string, point uint64) (ring.Ref, bool) {
	k := &r.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.services[service]
	if v == nil {
		return ring.Ref{}, false
	}
	life := v.authority.Holder(point)
	return v.ref(life), life != 0
}

// pruneMoves forgets the moves that have ended otherwise than with the state at the receiver: once in a
// while, since it looks at all arcs.
func (v *keyService) pruneMoves() {
	if len(v.moves) < v.pruneAt {
		return
	}
	under := make(map[uint64]struct{})
	for p := range v.authority.Pieces() {
		under[p.Move] = struct{}{}
	}
	maps.DeleteFunc(v.moves, func(term uint64, _ *keyMove) bool {
		_, is := under[term]
		if !is {
			v.void++
		}
		return !is
	})
	v.pruneAt = 2*len(v.moves) + 64
}
