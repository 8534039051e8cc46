package registry

import (
	"maps"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// reports is what members report about themselves in heartbeats. Guarded by Registry.mu.
type reports struct {
	records map[ring.Ref]*record // of members, and of those that are gone until they are retired
	past    totals               // of retired incarnations
	gone    []departed           // the latest that have died or left, see end

	// All members get the same answer to a heartbeat, so it is encoded once.
	interval int // that the answer names, in thirds of a lease
	answer   []byte
}

// record is what one incarnation has reported.
type record struct {
	info   *ring.Info // what it says of itself, nil if nothing
	joined time.Time
	heard  time.Time    // the latest heartbeat
	status *status.Node // the latest, never changed in place; nil before the first
}

// totals adds up the figures of nodes.
type totals struct {
	counters status.Counters
	hops     []int64
	latency  status.Histogram
	keys     map[string]status.KeyCounters // by service
}

// add adds a node's figures, and its gauges if the node is present.
func (t *totals) add(s *status.Node, present bool) {
	control.AddCounters(&t.counters, &s.Counters, present)
	t.hops = control.AddRow(t.hops, s.Hops)
	t.latency.Counts = control.AddRow(t.latency.Counts, s.Latency.Counts)
	t.latency.Sum = time.Duration(control.SaturatingAdd(int64(t.latency.Sum), int64(s.Latency.Sum)))
	for i := range s.Keys {
		if t.keys == nil {
			t.keys = make(map[string]status.KeyCounters)
		}
		sum := t.keys[s.Keys[i].Service]
		control.AddKeyCounters(&sum, &s.Keys[i].KeyCounters, present)
		t.keys[s.Keys[i].Service] = sum
	}
}

// begin adds a record for an incarnation that has none.
func (r *reports) begin(ref ring.Ref, info *ring.Info) {
	if r.records == nil {
		r.records = make(map[ring.Ref]*record)
	}
	if r.records[ref] == nil {
		r.records[ref] = &record{info: info, joined: time.Now()}
	}
}

// update takes in a heartbeat, and returns what has been counted since the one before. Its
// status is nil if nothing has changed.
func (r *reports) update(now time.Time, ref ring.Ref, reported *status.Node) (since time.Time, grown counts) {
	rec := r.records[ref]
	if rec == nil {
		return now, counts{}
	}
	since, rec.heard = rec.heard, now
	if reported != nil {
		if rec.status != nil {
			grown = countsOf(&reported.Counters).minus(countsOf(&rec.status.Counters))
		}
		rec.status = reported
	}
	return since, grown
}

// retire adds the figures of an incarnation that is over to the past. Of a service with keys that no
// member opens any more it forgets the past.
func (r *reports) retire(ref ring.Ref, opens func(service string) bool) {
	if rec := r.records[ref]; rec != nil && rec.status != nil {
		r.past.add(rec.status, false)
	}
	delete(r.records, ref)
	maps.DeleteFunc(r.past.keys, func(service string, _ status.KeyCounters) bool { return !opens(service) })
}

// total adds up all figures. It goes by the records and not by the members, because a member that
// is gone is retired a moment later.
func (r *reports) total(present func(ring.Ref) bool) totals {
	all := totals{r.past.counters, cloneNonNil(r.past.hops), status.Histogram{Counts: cloneNonNil(r.past.latency.Counts), Sum: r.past.latency.Sum}, maps.Clone(r.past.keys)}
	for ref, rec := range r.records {
		if rec.status != nil {
			all.add(rec.status, present(ref))
		}
	}
	return all
}

// answerFor returns the answer to a heartbeat: members shall send one each interval thirds of a
// lease.
func (r *reports) answerFor(interval int, codec control.Codec) ([]byte, error) {
	if interval != r.interval || r.answer == nil {
		frame, err := control.Encode(codec, control.TypeBeatAnswer, control.BeatAnswer{Every: int64(interval)})
		if err != nil {
			return nil, err
		}
		r.interval, r.answer = interval, frame
	}
	return r.answer, nil
}
