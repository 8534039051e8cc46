package registry

import (
	"fmt"
	"time"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// MaxMessages and MaxReport are bounds of runs and of what a node may say.
const (
	MaxMessages = maxMessages
	MaxReport   = maxReport
)

// Session is the end of a connection to a node.
type Session = session

// Locked calls f with the registry's lock held. Methods that need the lock may be called in
// it and in [Registry.Await].
func (r *Registry) Locked(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// Now is the time of the membership.
func (r *Registry) Now() time.Duration { return r.now() }

// Wake has the registry do what the membership asks for.
func (r *Registry) Wake() { r.wake() }

// Conns is the number of connections.
func (r *Registry) Conns() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// Session is that of a member's connection, and nil while there is none. It needs the lock.
func (r *Registry) Session(ref ring.Ref) *Session { return r.sessions[ref] }

// HangUpOn ends the connections of members before the registry acts on the end of any.
func (r *Registry) HangUpOn(refs ...ring.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ref := range refs {
		r.sessions[ref].conn.Close()
	}
}

// SendTo sends a member a message that nothing in the registry asks for.
func (r *Registry) SendTo(ref ring.Ref, t wire.Type, v any) error {
	r.mu.Lock()
	s := r.sessions[ref]
	r.mu.Unlock()
	if s == nil {
		return fmt.Errorf("node %d has no connection", ref.ID)
	}
	return s.conn.Send(t, v)
}

// Records is the number of incarnations of which the registry keeps heartbeats. It needs the
// lock.
func (r *Registry) Records() int { return len(r.reports.records) }

// SetStatus makes s what a member has said last. It needs the lock.
func (r *Registry) SetStatus(ref ring.Ref, s *status.Node) { r.reports.records[ref].status = s }

// Traces is the number of traces that are not answered.
func (r *Registry) Traces() int {
	r.traces.mu.Lock()
	defer r.traces.mu.Unlock()
	return len(r.traces.pending)
}

// Progress is how far a run of all members would be.
func (r *Registry) Progress() (sent, received int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress(&run{senders: r.members.All()})
}

// StartClock makes a registry that does not listen tell by the clock how late it is. It
// needs the lock.
func (r *Registry) StartClock(period time.Duration) {
	r.stalls.accounted, r.stalls.period = r.cfg.Now(), period
}

// Tick is what the clock does once a period. It needs the lock.
func (r *Registry) Tick() {
	r.accountForStalls()
	r.stalls.accounted = r.cfg.Now()
}

// SkipRuns makes the number of the latest run one that the nodes have not heard of.
func (r *Registry) SkipRuns(latest uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs.number = latest
}

// Unfinished is the number of nodes that have not finished the run under way, and -1 if none
// is. It needs the lock.
func (r *Registry) Unfinished() int {
	if r.runs.current == nil {
		return -1
	}
	return len(r.runs.current.awaitingFinish)
}

// Unreported is the number of nodes that have not reported on the run under way, and -1 if
// they are not asked for reports. It needs the lock.
func (r *Registry) Unreported() int {
	if r.runs.current == nil || r.runs.current.phase != collecting {
		return -1
	}
	return len(r.runs.current.awaitingSummary)
}

// Finish takes it that a node has finished the run under way.
func (r *Registry) Finish(ref ring.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.runs.current.awaitingFinish, ref)
	r.change()
}

// LoseReported loses a member for the run under way, if all nodes have reported on that.
func (r *Registry) LoseReported(ref ring.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Unreported() == 0 {
		r.runs.current.lose(ref, "died")
		r.change()
	}
}
