package registry

import (
	"fmt"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// MaxMessages, MaxReport and MaxHeld are bounds of runs, of what a node may say, and of nodes that wait.
const (
	MaxMessages = maxMessages
	MaxReport   = control.MaxReport
	MaxHeld     = maxHeld
)

// Session is the registry's end of a connection to a node.
type Session = session

// Locked calls f with the registry's lock held. f and the condition of [Registry.Await] may
// call the methods that need the lock.
func (r *Registry) Locked(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// Now returns the time of the membership.
func (r *Registry) Now() time.Duration { return r.now() }

// Wake wakes the reconcile loop.
func (r *Registry) Wake() { r.wake() }

// Conns returns the number of connections.
func (r *Registry) Conns() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// Held returns the number of nodes that wait for the answer to their Register. It needs the lock.
func (r *Registry) Held() int { return r.held }

// HostsKnown returns the number of hosts whose members are counted. It needs the lock.
func (r *Registry) HostsKnown() int { return len(r.hosts.members) }

// Session returns a member's session, or nil while it is not connected. It needs the lock.
func (r *Registry) Session(ref ring.Ref) *Session { return r.sessions[ref] }

// HangUpOn ends the connections of members before the registry acts on the end of any.
func (r *Registry) HangUpOn(refs ...ring.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ref := range refs {
		r.sessions[ref].conn.Close()
	}
}

// SendTo sends a member a message of any kind.
func (r *Registry) SendTo(ref ring.Ref, t wire.Type, v any) error {
	r.mu.Lock()
	s := r.sessions[ref]
	r.mu.Unlock()
	if s == nil {
		return fmt.Errorf("node %d has no connection", ref.ID)
	}
	return s.conn.Send(t, v)
}

// Records returns the number of incarnations whose heartbeats the registry keeps. It needs the
// lock.
func (r *Registry) Records() int { return len(r.reports.records) }

// SetStatus makes s the latest status of a member. It needs the lock.
func (r *Registry) SetStatus(ref ring.Ref, s *status.Node) { r.reports.records[ref].status = s }

// Traces returns the number of unanswered traces.
func (r *Registry) Traces() int {
	r.traces.mu.Lock()
	defer r.traces.mu.Unlock()
	return len(r.traces.pending)
}

// Progress returns the progress of a run of all members.
func (r *Registry) Progress() (sent, received int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress(&run{senders: r.members.All()})
}

// StartClock starts the clock by which a registry measures how late it runs, as Listen does. It
// needs the lock.
func (r *Registry) StartClock(period time.Duration) {
	r.stalls.accounted, r.stalls.period = r.cfg.Now(), period
}

// Tick does the work of one period of the clock. It needs the lock.
func (r *Registry) Tick() {
	r.accountForStalls()
	r.stalls.accounted = r.cfg.Now()
}

// SkipRuns sets the number of the latest run to one that the nodes do not know.
func (r *Registry) SkipRuns(latest uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs.number = latest
}

// Unfinished returns the number of nodes that have not finished the present run, or -1 if there
// is no run. It needs the lock.
func (r *Registry) Unfinished() int {
	if r.runs.current == nil {
		return -1
	}
	return len(r.runs.current.awaitingFinish)
}

// Unreported returns the number of nodes that have not reported on the present run, or -1 if
// the registry does not ask for reports. It needs the lock.
func (r *Registry) Unreported() int {
	if r.runs.current == nil || r.runs.current.phase != collecting {
		return -1
	}
	return len(r.runs.current.awaitingSummary)
}

// Phases of the present run, see Phase.
const (
	Sending    = int(sending)
	Stopping   = int(stopping)
	Collecting = int(collecting)
	Explaining = int(explaining)
)

// Phase returns the phase of the present run, or -1 if there is none. It needs the lock.
func (r *Registry) Phase() int {
	if r.runs.current == nil {
		return -1
	}
	return int(r.runs.current.phase)
}

// Finish marks the present run as finished by a node.
func (r *Registry) Finish(ref ring.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.runs.current.awaitingFinish, ref)
	r.change()
}

// LoseReported marks a member as lost for the present run, if all nodes have reported.
func (r *Registry) LoseReported(ref ring.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Unreported() == 0 {
		r.runs.current.lose(ref, "died")
		r.change()
	}
}

// NoteParts returns the bytes of reports that are not whole.
func (r *Registry) NoteParts() int {
	r.keys.mu.Lock()
	defer r.keys.mu.Unlock()
	return r.keys.parts
}

// IgnoredNotes returns how many notes had no effect.
func (r *Registry) IgnoredNotes() uint64 { return r.keys.ignored.Load() }

// HandleNote handles a note that a session has received.
func (r *Registry) HandleNote(s *Session, note control.Note) error {
	b, err := r.cfg.Codec.Append(nil, note)
	if err != nil {
		return err
	}
	return r.handleNote(s, b)
}

// BoundNoteParts sets the bounds of reports that are not whole.
func (r *Registry) BoundNoteParts(session, all int) { r.keys.mostParts, r.keys.mostAll = session, all }

// ExpelMember declares a member dead. It needs the lock.
func (r *Registry) ExpelMember(ref ring.Ref) { r.members.Expel(r.now(), ref, "the test says so") }
