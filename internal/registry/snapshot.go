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
	membership.Leaving:    status.StateLeaving,
}

// Snapshot reads all under one lock. It copies what may change and shares the rest.
func (r *Registry) Snapshot() *status.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	layout := r.members.Layout()
	s := &status.Snapshot{
		Time: time.Now(), Ring: r.cfg.RingName, Identity: string(r.members.Identity()), OtherRings: r.others.list(time.Now(), r.cfg.Lease), Bits: r.cfg.Bits, Lease: r.cfg.Lease, Epoch: r.members.Epoch(),
		Live: r.members.Live(), Offsets: cloneNonNil(layout.Offsets), Entries: len(layout.Offsets), Plan: ring.PlanName(layout.Fewest),
		Missing: withText(r.members.Unsettled()), Degraded: r.degraded(),
		Running: r.running(), Runs: cloneNonNil(r.runs.ended), Last: r.runs.last, Verdicts: r.runs.counts(),
		Events: r.events.list(), Happened: r.events.counts(),
	}
	all := r.reports.total(func(ref ring.Ref) bool {
		m, present := r.members.Holder(ref.ID)
		return present && m.Incarnation == ref.Incarnation
	})
	members := r.members.All()
	s.Members = make([]status.Member, len(members))
	for i, m := range members {
		row := &s.Members[i]
		row.State = memberStates[r.members.State(m.Ref())]
		row.Node = status.Node{Peer: peer(m), Incarnation: m.Incarnation, Hops: []int64{}, Latency: status.Histogram{Counts: []int64{}}, Links: []status.Link{}}
		if f := r.reports.records[m.Ref()]; f != nil {
			row.Joined, row.Heard = f.joined, f.heard
			if f.status != nil {
				row.Node = *f.status
			}
		}
		if row.Epoch > 0 {
			row.Identity = s.Identity
		}
		row.Entries = []status.ID{}
		if view, ok := r.members.View(m.ID); ok {
			for _, e := range view.Entries {
				row.Entries = append(row.Entries, status.ID(e.ID))
			}
		}
	}
	s.Total, s.Hops, s.Latency = all.counters, all.hops, all.latency
	return s
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
