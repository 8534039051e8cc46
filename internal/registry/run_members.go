package registry

import (
	"fmt"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ring"
)

// memberRegistered adds a node that joined during the run, or reminds one of the run's nodes that
// is back over a new connection. latestRun is the latest run that the node knows.
func (u *run) memberRegistered(s *session, latestRun uint64) {
	ref := s.member.Ref()
	if u.isNew(ref) {
		// Nothing is sent to it: the senders draw from the members at the start. But it relays, so
		// it must report its sums.
		if u.flows() {
			u.late = append(u.late, s.member)
			u.awaitingSummary[ref] = struct{}{}
		}
		return
	}
	// A node that knows the run has its task and goes on with it, which is no failure to answer.
	if u.unanswered(ref) && (!u.flows() || latestRun < u.number) {
		if u.reminded[ref]++; u.reminded[ref] > handshake.MaxReminders {
			u.stopWaiting(ref, fmt.Sprintf("node %d came back %d times without an answer to what it was asked: it cannot read that, or has no connection that lasts", ref.ID, handshake.MaxReminders+1))
			return
		}
	}
	u.remind(s)
}

// isNew reports whether an incarnation has no part in the run yet.
func (u *run) isNew(ref ring.Ref) bool {
	if _, ok := u.awaitingSummary[ref]; ok {
		return false
	}
	if _, ok := u.sums[ref]; ok {
		return false
	}
	_, lost := u.lost[ref]
	_, failed := u.errors[ref]
	return !lost && !failed
}

// unanswered reports whether a member has not answered the question of this phase.
func (u *run) unanswered(ref ring.Ref) (ok bool) {
	switch u.phase {
	case sending, stopping:
		_, ok = u.awaitingFinish[ref]
	case collecting:
		_, ok = u.awaitingSummary[ref]
	case explaining:
		_, ok = u.awaitingPairs[ref]
	}
	return ok
}

// stopWaiting ends the wait for a member's answer to the question of this phase.
func (u *run) stopWaiting(ref ring.Ref, why string) {
	switch u.phase {
	case sending, stopping:
		delete(u.awaitingFinish, ref)
	case collecting:
		delete(u.awaitingSummary, ref)
	case explaining:
		delete(u.awaitingPairs, ref)
	}
	if _, failed := u.errors[ref]; !failed {
		u.errors[ref] = why
	}
}

// maxRun bounds the number of a run that a node may claim to know. The registry counts on from it, and
// no registry has conducted so many.
const maxRun = 1 << 62

// latestRun returns the number of the latest run that there may have been, by what a registering
// node knows. A new registry adds one for nodes that come back: there may have been one more run,
// known only to members that are lost. What those sent is still counted under its number.
//
// It returns false if a member claims a number that no registry counts to: it would ignore all runs
// of this one. The claim of a newcomer is ignored.
func (r *Registry) latestRun(req control.Register) (number uint64, ok bool) {
	switch {
	case req.Run > max(maxRun, r.runs.number):
		return 0, req.Incarnation == 0
	case req.Incarnation != 0 && r.members.Recovering():
		return req.Run + 1, true
	}
	return req.Run, true
}

// lose notes that a member has died or left. No answer is expected of it any more.
func (u *run) lose(ref ring.Ref, why string) {
	if u.phase == summarizing {
		return
	}
	for _, m := range u.nodes {
		if m.Ref() == ref {
			u.lost[ref] = why
		}
	}
	delete(u.awaitingFinish, ref)
	delete(u.awaitingSummary, ref)
	delete(u.awaitingPairs, ref)
}

// remind asks a member again after its connection had ended: the question or the answer may be
// lost.
func (u *run) remind(s *session) {
	ref := s.member.Ref()
	if _, ok := u.awaitingFinish[ref]; ok {
		task := u.task
		if u.phase == stopping {
			task = u.stopTask()
		}
		s.conn.Send(control.TypeTask, task)
	}
	if _, ok := u.awaitingSummary[ref]; ok && u.phase == collecting {
		s.conn.Send(control.TypeCollect, control.Collect{Run: u.number})
	}
	if _, ok := u.awaitingPairs[ref]; ok && u.phase == explaining {
		s.conn.Send(control.TypeExplain, control.Explain{Run: u.number})
	}
}
