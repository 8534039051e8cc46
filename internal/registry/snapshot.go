package registry

import (
	"slices"
	"time"

	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// memberStates maps the membership's states to those of a snapshot.
var memberStates = map[membership.State]status.State{
	membership.Registered: status.StateRegistered,
	membership.Linking:    status.StateLinking,
	membership.Active:     status.StateActive,
	membership.Suspect:    status.StateSuspect,
	membership.Stuck:      status.StateStuck,
	membership.Leaving:    status.StateLeaving,
}

// Snapshot reads all under both locks. It copies what may change and shares the rest.
func (r *Registry) Snapshot() *status.Snapshot {
	r.keys.mu.Lock()
	defer r.keys.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	layout := r.members.Layout()
	now := time.Now()
	r.history.advance(now, r.members.Len())
	s := &status.Snapshot{
		Time: now, Ring: r.cfg.RingName, Identity: string(r.members.Identity()), OtherRings: r.others.list(now, r.cfg.Lease), Bits: r.cfg.Bits, Lease: r.cfg.Lease, Epoch: r.members.Epoch(),
		Live: r.members.Live(), Offsets: cloneNonNil(layout.Offsets), Entries: len(layout.Offsets), Plan: ring.PlanName(layout.Fewest),
		Missing: withText(r.members.Unsettled()), Degraded: r.degraded(), LeftOut: r.leftOut(), Sidelined: r.sidelined(),
		Running: r.running(), Runs: cloneNonNil(r.runs.ended), Last: r.runs.last, Verdicts: r.runs.counts(),
		Events: r.events.list(), Happened: r.events.counts(), History: r.history.list(),
		Gone: r.reports.listGone(now, string(r.members.Identity()), func(id uint64) bool { _, present := r.members.Holder(id); return present }),
	}
	all := r.reports.total(func(ref ring.Ref) bool {
		m, present := r.members.Holder(ref.ID)
		return present && m.Incarnation == ref.Incarnation
	})
	var describer membership.Describer
	members := r.members.All()
	s.Members = make([]status.Member, len(members))
	for i, m := range members {
		row := &s.Members[i]
		*row = emptyMember(peer(m), m.Incarnation)
		row.State = memberStates[r.members.State(m.Ref())]
		row.Admission = r.showAdmission(m.Ref())
		fill(row, r.reports.records[m.Ref()], s.Identity, &describer)
		if view, ok := r.members.View(m.ID); ok {
			for _, e := range view.Entries {
				row.Entries = append(row.Entries, status.ID(e.ID))
			}
		}
	}
	s.Keys = r.keys.show(all.keys)
	s.Security = r.showSecurity()
	s.Total, s.Hops, s.Latency = all.counters, all.hops, all.latency
	return s
}

// emptyMember returns a member that has reported nothing. Its lists are empty and not nil.
func emptyMember(p status.Peer, incarnation uint64) status.Member {
	return status.Member{
		Node:    status.Node{Peer: p, Incarnation: incarnation, Hops: []int64{}, Latency: status.Histogram{Counts: []int64{}}, Links: []status.Link{}},
		Entries: []status.ID{},
	}
}

// fill adds what a member has said, if there is a record. Heartbeats do not carry the identity of the
// ring, or what the member says of itself.
func fill(m *status.Member, rec *record, identity string, d *membership.Describer) {
	if rec == nil {
		return
	}
	m.Joined, m.Heard = rec.joined, rec.heard
	if rec.status != nil {
		m.Node = *rec.status
	}
	if m.Epoch > 0 {
		m.Identity = identity
	}
	said := d.Describe(ring.Ref{}, "", rec.info)
	m.Name, m.Tags, m.Services = said.Name, said.Tags, said.Services
}

// cloneNonNil copies a list. The copy is never nil: in JSON an empty list reads better than null.
func cloneNonNil[T any](list []T) []T { return append([]T{}, list...) }

// withText drops the empty lines of what is missing. They only make up the number.
func withText(missing []string) []string {
	return slices.DeleteFunc(cloneNonNil(missing), func(line string) bool { return line == "" })
}

// running describes the current run, nil if there is none. It needs mu.
func (r *Registry) running() *status.Running {
	u := r.runs.current
	if u == nil {
		return nil
	}
	running := &status.Running{
		Number: u.number, Started: u.start, Messages: int(u.task.Messages), Payload: int(u.task.Payload),
		Total: u.asked(), Stopping: u.ending,
	}
	running.Sent, running.Received = r.progress(u)
	return running
}
