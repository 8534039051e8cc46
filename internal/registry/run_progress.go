package registry

import (
	"fmt"
	"maps"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// A run waits for its members as long as it goes on, however slow that is, and no longer: after
// [membership.StuckLeases] leases in which nothing has happened, it goes on without those that it
// waits for. While messages flow, something has happened if a member has sent or received more of the
// run, by its heartbeats, or has finished. Later it is an answer that the run waits for.
//
// Figures count up to what a member can have sent or received at most, and only if they are greater
// than all before. So a member cannot go up and down with them for ever. It can pretend to be slow;
// StopTraffic ends that.

// stopLeases bounds a stopped run also if it goes on, in patiences of [Authority.Patience]. Then all
// that is not delivered has no known outcome. The operator wants the end of the run, and a member
// that is told to stop may send on.
const stopLeases = 10

// goesOn takes note that something has happened in a run. It needs mu.
func (r *Registry) goesOn(u *run) { u.heard = r.members.HeardNow(r.now()) }

// noteFigures takes the progress of a run from a heartbeat. It needs mu.
func (r *Registry) noteFigures(s *session) {
	u := r.runs.current
	if u == nil || !u.flows() {
		return
	}
	ref := s.member.Ref()
	best, takesPart := u.figures[ref]
	if !takesPart {
		return
	}
	now := figures{min(s.sent, u.task.Messages), min(s.received, u.asked())}
	switch sentMore := now.sent > best.sent; {
	case now.received > best.received, sentMore && u.phase == sending:
		r.goesOn(u)
	case sentMore && r.members.Idle(r.now(), u.stoppedAt) > r.members.Patience(ref):
		if _, awaited := u.awaitingFinish[ref]; awaited {
			u.leaveOut(ref, "sends on, though it was told to stop")
		}
	}
	u.figures[ref] = figures{max(now.sent, best.sent), max(now.received, best.received)}
}

// figures are the messages of a run that a member has sent and received.
type figures struct{ sent, received int64 }

// phaseOver reports whether a phase has ended: no member is awaited, or the rest makes no progress
// and is left out. It needs mu.
func (r *Registry) phaseOver(u *run, awaited map[ring.Ref]struct{}) bool {
	if len(awaited) == 0 {
		return true
	}
	patience := time.Duration(0)
	for ref := range awaited {
		patience = max(patience, r.members.Patience(ref))
	}
	stuck := func() bool {
		now := r.now()
		return r.members.Idle(now, u.heard) >= patience ||
			u.phase == stopping && r.members.Idle(now, u.stoppedAt) >= stopLeases*patience
	}
	if !stuck() {
		return false
	}
	if r.accountForStalls(); !stuck() { // this process did not run
		return false
	}
	why := map[phase]string{
		sending: "has not finished", stopping: "has not finished, though it was told to stop",
		collecting: "has not reported what it sent and received",
		explaining: "has not reported its account with each node", checking: "has not reported its account with each node",
	}[u.phase]
	u.gaveUp = true
	for ref := range maps.Clone(awaited) {
		u.leaveOut(ref, fmt.Sprintf("%s, and made no progress for %v", why, patience))
	}
	return true
}

// leaveOut ends the wait for a member that makes no progress. If it has not finished, it is still asked
// what it has sent. If it does not report, it counts as lost: the others tell what they know of it.
func (u *run) leaveOut(ref ring.Ref, why string) {
	if _, is := u.stuck[ref]; !is {
		u.stuck[ref] = why
	}
	if u.phase <= stopping {
		delete(u.awaitingFinish, ref)
		return
	}
	delete(u.awaitingSummary, ref)
	delete(u.awaitingPairs, ref)
	for _, m := range u.nodes {
		if m.Ref() == ref {
			u.lost[ref] = u.stuck[ref]
		}
	}
}

// unfinished reports whether a member was left out while messages flowed, and has reported since. What
// it has sent may not have arrived.
func (u *run) unfinished(ref ring.Ref) bool {
	_, stuck := u.stuck[ref]
	_, lost := u.lost[ref]
	return stuck && !lost
}

// enlist makes the lists of a new run. A member that is left out gets no task. If others may send to
// it, it is one of the run's nodes, and counts as lost from the start.
func (r *Registry) enlist(u *run) {
	for _, m := range r.members.All() {
		ref := m.Ref()
		why := r.members.WhyLeftOut(ref)
		switch {
		case why != "" && r.members.Announced(ref):
			u.stuck[ref] = "is left out: " + why
			u.lost[ref] = u.stuck[ref]
			u.nodes = append(u.nodes, m)
			continue
		case why != "":
			continue
		}
		u.nodes = append(u.nodes, m)
		u.awaitingSummary[ref] = struct{}{}
		if m.Traffic {
			u.senders = append(u.senders, m)
			u.awaitingFinish[ref], u.awaitingPairs[ref] = struct{}{}, struct{}{}
			u.figures[ref] = figures{}
		}
	}
}

// explains reports whether the members are asked for their account with each other. If the sums
// differ or a member is missing, they must be. Else it finds a member that reports as its own what
// it took from another, which is in no sum; in a large run that would cost too much.
func (u *run) explains() bool {
	return len(u.lost)+len(u.stuck) > 0 || !u.balanced() || len(u.senders) <= maxChecked
}

// maxChecked is the most senders of a run that is explained though it balances. Each reports two
// lists as long, so this is some 3 MB.
const maxChecked = 256

// maxPairs bounds the pairs that are kept of what a member reports.
const maxPairs = 8192

// bounded copies the first pairs that a member reports of which there was a message, and lets the rest
// go: at most one for each node, and maxPairs.
func (u *run) bounded(list []control.Pair) (kept []control.Pair) {
	for _, p := range list {
		if len(kept) == min(len(u.nodes), maxPairs) {
			break
		}
		if p.N != 0 || p.Unknown != 0 || p.Sum != 0 || p.SumUnknown != 0 {
			kept = append(kept, p)
		}
	}
	return kept
}
