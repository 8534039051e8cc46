package registry

import (
	"cmp"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// keyView is what snapshots show of the arcs of a service. It is made anew only after a change, since
// there may be 100,000 arcs, and shared by the snapshots until then.
type keyView struct {
	owners []ring.Ref // by ascending ID
	held   []status.KeyOwner
	arcs   []status.KeyArc
	moves  []viewedMove // the oldest first
	free   float64      // the part of the ring that is in no arc
}

// viewedMove is a move in a view. from and to are indices of owners.
type viewedMove struct {
	from, to int
	since    time.Time
	share    float64
}

// points is the number of points of an arc; 0 for the whole ring.
func points(a arc.Arc) uint64 { return a.Last - a.First + 1 }

// ringPoints is the number of points of the ring.
const ringPoints = math.MaxUint64 + 1.0

// share is the part of the ring that an arc is.
func share(a arc.Arc) float64 { return (float64(a.Last-a.First) + 1) / ringPoints }

// settled takes the word that a part of a move has ended, or all of it.
func (v *keyService) settled(a arc.Arc, term uint64) {
	m := v.moves[term]
	if m == nil {
		return
	}
	if m.left -= points(a); m.left > 0 {
		return
	}
	delete(v.moves, term)
	v.done++
	took := time.Since(m.since)
	v.longest = max(v.longest, took)
	v.times.Sum += took
	if v.times.Counts == nil {
		v.times.Counts = make([]int64, status.HistogramBuckets)
	}
	// Bucket i has the times up to 2^i microseconds.
	i := bits.Len64(uint64(max(0, took-1) / time.Microsecond))
	v.times.Counts[min(i, status.HistogramBuckets-1)]++
}

// since is when a move began.
func (v *keyService) since(term uint64) time.Time {
	if m := v.moves[term]; m != nil {
		return m.since
	}
	return time.Time{}
}

// show lists the services with keys by name. totals are by service. It needs both locks.
func (k *keys) show(totals map[string]status.KeyCounters) []status.KeyService {
	var all []status.KeyService
	for _, name := range slices.Sorted(maps.Keys(k.services)) {
		all = append(all, k.services[name].service(totals[name]))
	}
	return all
}

// service describes the service. Addresses are as they are now: a member may change its own.
func (v *keyService) service(total status.KeyCounters) status.KeyService {
	if v.shown == nil {
		v.shown = v.view()
	}
	view := v.shown
	s := status.KeyService{
		Service: strings.Clone(v.name), Recovering: v.recovering, Sources: len(v.lives) - len(view.owners), Arcs: view.arcs, ArcCount: len(view.arcs), Free: view.free, Moving: len(view.moves),
		Owners: slices.Clone(view.held), Moves: []status.KeyMove{},
		Moved: int64(v.done), Void: int64(v.void), LongestMove: v.longest, Merges: int64(v.authority.Merges), Total: total,
		MoveTimes: status.Histogram{Counts: cloneNonNil(v.times.Counts), Sum: v.times.Sum},
	}
	r := v.keys.r
	for i := range s.Owners {
		o := &s.Owners[i]
		if m, present := r.members.Holder(uint64(o.ID)); present && m.Incarnation == o.Incarnation {
			o.Addr = m.Addr
		}
		if rec := r.reports.records[view.owners[i]]; rec != nil && rec.info != nil {
			o.Name = rec.info.Name
		}
	}
	for _, m := range view.moves[:min(len(view.moves), status.MaxKeyMoves)] {
		s.Moves = append(s.Moves, status.KeyMove{From: s.Owners[m.from].MemberInfo, To: s.Owners[m.to].MemberInfo, Since: m.since, Share: m.share})
	}
	return s
}

// view makes the view. It lists the lives that offer to hold arcs, and those that hold any.
func (v *keyService) view() *keyView {
	w := &keyView{owners: []ring.Ref{}, arcs: make([]status.KeyArc, 0, v.arcs)}
	for _, l := range v.lives {
		if l.offers {
			w.owners = append(w.owners, l.ref)
		}
	}
	slices.SortFunc(w.owners, func(a, b ring.Ref) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Incarnation, b.Incarnation))
	})
	w.held = make([]status.KeyOwner, len(w.owners))
	index := make(map[uint64]int, len(w.owners))
	for i, ref := range w.owners {
		index[ref.Incarnation] = i
		w.held[i] = status.KeyOwner{MemberInfo: status.MemberInfo{Peer: status.Peer{ID: status.ID(ref.ID)}, Incarnation: ref.Incarnation}}
	}
	moves, free := make(map[uint64]int), uint64(0) // mod 2^64, so that it is exact
	for p := range v.authority.Pieces() {
		holder, known := index[p.Holder]
		if !known {
			continue // no life that has reported: the authority has none such
		}
		free -= points(p.Arc)
		o := &w.held[holder]
		o.Arcs++
		o.Share += share(p.Arc)
		a := status.KeyArc{First: p.First, Last: p.Last, Term: p.Term, Owner: holder, Receiver: -1}
		if to, known := index[p.Receiver]; known {
			a.Receiver = to
			i, seen := moves[p.Move]
			if !seen {
				i = len(w.moves)
				moves[p.Move] = i
				w.moves = append(w.moves, viewedMove{from: holder, to: to, since: v.since(p.Move)})
			}
			w.moves[i].share += share(p.Arc)
		}
		w.arcs = append(w.arcs, a)
	}
	v.arcs = len(w.arcs)
	if w.free = float64(free) / ringPoints; len(w.arcs) == 0 {
		w.free = 1
	}
	slices.SortStableFunc(w.moves, func(a, b viewedMove) int { return a.since.Compare(b.since) })
	return w
}

// ownKeys drops the figures of services that a member does not open, and those that come twice. It needs mu.
func (r *Registry) ownKeys(ref ring.Ref, all []status.NodeKeys) []status.NodeKeys {
	names := r.members.Keys(ref)
	var known []status.NodeKeys
	for _, k := range all {
		same := func(o status.NodeKeys) bool { return o.Service == k.Service }
		if slices.Contains(names, k.Service) && !slices.ContainsFunc(known, same) {
			known = append(known, k)
		}
	}
	slices.SortFunc(known, func(a, b status.NodeKeys) int { return strings.Compare(a.Service, b.Service) })
	return known
}
