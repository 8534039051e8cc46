package registry

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// record is what a registry knows of one life from its heartbeats.
type record struct {
	joined time.Time
	heard  time.Time
	status *status.Node // the latest, which is never changed; nil before the first
}

// past adds up what was last said by those that are gone.
type past struct {
	total   status.Counters
	hops    []int64
	latency status.Histogram
}

// sum adds a status.
func (p *past) sum(s *status.Node, present bool) {
	control.AddCounters(&p.total, &s.Counters, present)
	p.hops = control.AddRow(p.hops, s.Hops)
	p.latency.Counts = control.AddRow(p.latency.Counts, s.Latency.Counts)
	p.latency.Sum = time.Duration(control.Plus(int64(p.latency.Sum), int64(s.Latency.Sum)))
}

// heard takes a heartbeat and answers it.
func (r *Registry) heard(s *session, b control.Beat) error {
	var told *status.Node
	if len(b.Status) > 0 {
		told = control.Unpack(peer(s.member), s.member.Life, b.Status[0])
	}
	ref := s.member.Ref()
	r.mu.Lock()
	s.sent, s.received = max(0, b.Sent), max(0, b.Received)
	if f := r.records[ref]; f != nil && s.in { // else it has left, or has come back over another connection
		f.heard = time.Now()
		if told != nil {
			f.status = told
		}
	}
	pace := r.members.Heard(ref, control.Int(b.Every))
	r.members.HeldUp(ref, time.Duration(min(max(0, b.Late), handshake.MaxLease.Milliseconds()))*time.Millisecond)
	patience := r.members.Patience(ref)
	if pace != r.pace || r.answer == nil { // the same for everybody: encoded once
		frame, err := control.Encode(r.cfg.Codec, control.TypeBeatAnswer, control.BeatAnswer{Every: int64(pace)})
		if err != nil {
			r.mu.Unlock()
			return err
		}
		r.pace, r.answer = pace, frame
	}
	answer, in := r.answer, s.in
	r.mu.Unlock()
	if !in { // the answer would say that it is a member
		return nil
	}
	s.conn.SetLease(patience) // before the node may rely on it
	return s.conn.PassNow(answer)
}

// retire adds a life that is over to the past; it needs mu.
func (r *Registry) retire(ref ring.Ref) {
	if f := r.records[ref]; f != nil && f.status != nil {
		r.past.sum(f.status, false)
	}
	delete(r.records, ref)
	r.loopbacks.drop(ref)
}

// states are the names of where a member stands.
var states = map[membership.State]status.State{
	membership.Registered: status.StateRegistered,
	membership.Linking:    status.StateLinking,
	membership.Active:     status.StateActive,
	membership.OutOfSight: status.StateDoubted,
	membership.Leaving:    status.StateLeaving,
}

// Snapshot returns the ring as the registry knows it now, all of it read at once. It costs
// some microseconds and about a kilobyte for each member; most of that is shared with other
// snapshots.
func (r *Registry) Snapshot() *status.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	layout := r.members.Layout()
	s := &status.Snapshot{
		Time: time.Now(), Ring: r.cfg.RingName, Bits: r.cfg.Bits, Lease: r.cfg.Lease, Epoch: r.members.Epoch(),
		Live: r.members.Live(), Offsets: listed(layout.Offsets), Entries: len(layout.Offsets), Plan: ring.PlanName(layout.Fewest),
		Missing: worded(r.members.Missing()), Degraded: r.degraded(),
		Running: r.running(), Runs: listed(r.results), Last: r.last, Verdicts: maps.Clone(r.verdicts),
		Events: listed(r.events[max(0, len(r.events)-status.MaxEvents):]), Happened: maps.Clone(r.kinds),
	}
	all := past{r.past.total, listed(r.past.hops), status.Histogram{Counts: listed(r.past.latency.Counts), Sum: r.past.latency.Sum}}
	for ref, f := range r.records { // and not over the members: one that is gone is retired a moment later
		if f.status != nil {
			m, present := r.members.Holder(ref.ID)
			all.sum(f.status, present && m.Life == ref.Life)
		}
	}
	members := r.members.All()
	s.Members = make([]status.Member, len(members))
	for i, m := range members {
		row := &s.Members[i]
		row.State = states[r.members.State(m.Ref())]
		row.Node = status.Node{Peer: peer(m), Incarnation: m.Life, Hops: []int64{}, Latency: status.Histogram{Counts: []int64{}}, Links: []status.Link{}}
		if f := r.records[m.Ref()]; f != nil {
			row.Joined, row.Heard = f.joined, f.heard
			if f.status != nil {
				row.Node = *f.status
			}
		}
		row.Entries = []status.ID{}
		if view, ok := r.members.View(m.ID); ok {
			for _, e := range view.Entries {
				row.Entries = append(row.Entries, status.ID(e.ID))
			}
		}
	}
	s.Total, s.Hops, s.Latency = all.total, all.hops, all.latency
	return s
}

// listed copies a list. It is never nil: in JSON an empty list reads better than null.
func listed[T any](list []T) []T { return append([]T{}, list...) }

// worded leaves out of what is missing the lines without words, which only make up the
// number.
func worded(missing []string) []string {
	return slices.DeleteFunc(listed(missing), func(line string) bool { return line == "" })
}

// running needs mu.
func (r *Registry) running() *status.Running {
	u := r.run
	if u == nil {
		return nil
	}
	running := &status.Running{
		Number: u.number, Started: u.start, Messages: int(u.task.Messages), Payload: int(u.task.Payload),
		Total: u.task.Messages * int64(len(u.senders)),
	}
	running.Sent, running.Received = r.progress(u)
	return running
}

// progress is how many messages of a run were sent and received, as far as heartbeats
// tell; it needs mu.
func (r *Registry) progress(u *run) (sent, received int64) {
	for _, m := range u.senders {
		if s := r.sessions[m.Ref()]; s != nil {
			sent, received = control.Plus(sent, s.sent), control.Plus(received, s.received)
		}
	}
	return sent, received
}

// keep remembers a run that has ended; it needs mu.
func (r *Registry) keep(u *run) {
	s := u.summary
	if len(r.results) == status.MaxRuns {
		r.results = r.results[1:]
	}
	r.results = append(r.results, status.Run{
		Number: u.number, Started: u.start, Messages: int(u.task.Messages), Payload: int(u.task.Payload),
		Sent: s.Sum.Sent, Received: s.Sum.Received, Elapsed: s.Elapsed, Rate: s.Rate(),
		MeanHops: s.MeanHops, MaxHops: s.MaxHops, Exact: s.Exact(), Verdict: s.Verdict(),
	})
	r.last = s
	verdict, _, _ := strings.Cut(s.Verdict(), ":")
	r.verdicts[verdict]++
	r.happened(status.Event{Kind: status.EventRunEnded, Why: runName(u.number) + ": " + s.Verdict()})
	r.stir()
}
