package registry

import (
	"slices"
	"time"

	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// departed is a member that has died or left. Its record is shared with reports until it is
// retired, so that its last words count.
type departed struct {
	event  status.Event
	record *record
}

// end remembers a member that an event says has died or left. It keeps the latest
// status.MaxGone.
func (r *reports) end(e status.Event, ref ring.Ref) {
	rec := r.records[ref]
	if rec == nil || e.Kind != status.EventDead && e.Kind != status.EventLeft {
		return
	}
	for len(r.gone) > 0 && (len(r.gone) >= status.MaxGone || e.Time.Sub(r.gone[0].event.Time) > status.GoneFor) {
		r.gone = slices.Delete(r.gone, 0, 1)
	}
	r.gone = append(r.gone, departed{e, rec})
}

// listGone returns the members that have gone lately from the ring of an identity, with their last
// figures, unless a member has their ID.
func (r *reports) listGone(now time.Time, identity string, present func(id uint64) bool) []status.Gone {
	list := []status.Gone{}
	seen := make(map[status.ID]struct{})
	var describer membership.Describer
	for _, d := range slices.Backward(r.gone) { // of several with one ID the latest counts
		e := d.event
		if now.Sub(e.Time) > status.GoneFor {
			break
		}
		if _, known := seen[e.Node.ID]; known || present(uint64(e.Node.ID)) {
			continue
		}
		seen[e.Node.ID] = struct{}{}
		g := status.Gone{Member: emptyMember(e.Node, e.Incarnation), When: e.Time, Why: e.Why}
		g.State = status.StateLeft
		if e.Kind == status.EventDead {
			g.State = status.StateDead
		}
		fill(&g.Member, d.record, identity, &describer)
		for _, l := range g.Links {
			g.Entries = append(g.Entries, l.To)
		}
		list = append(list, g)
	}
	slices.Reverse(list)
	return list
}
