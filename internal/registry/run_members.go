package registry

import (
	"fmt"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ring"
)

// come takes note that a member has registered: one that came during the run, or one of
// the run whose connection had ended. latestRun is the latest run that the member latestRun of.
func (u *run) memberRegistered(s *session, latestRun uint64) {
	ref := s.member.Ref()
	if u.isNew(ref) {
		// It is sent nothing, since the senders draw from the members that were there when
		// the run began. But it relays, so it is asked for its part like all others.
		if u.phase == sending {
			u.late = append(u.late, s.member)
			u.awaitingSummary[ref] = struct{}{}
		}
		return
	}
	// One that has taken its task in just goes on with it.
	if u.unanswered(ref) && (u.phase != sending || latestRun < u.number) {
		if u.reminded[ref]++; u.reminded[ref] > handshake.MaxReminders {
			u.stopWaiting(ref, fmt.Sprintf("node %d came back %d times without an answer to what it was asked: it cannot read that, or has no connection that lasts", ref.ID, handshake.MaxReminders+1))
			return
		}
	}
	u.remind(s)
}

// stranger says that a life has nothing to do with the run yet.
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

// owes says whether a member has not answered what was asked last.
func (u *run) unanswered(ref ring.Ref) (ok bool) {
	switch u.phase {
	case sending:
		_, ok = u.awaitingFinish[ref]
	case collecting:
		_, ok = u.awaitingSummary[ref]
	case explaining:
		_, ok = u.awaitingPairs[ref]
	}
	return ok
}

// giveUp expects no answer of a member any more to what it was asked last.
func (u *run) stopWaiting(ref ring.Ref, why string) {
	switch u.phase {
	case sending:
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

// after is the number of the latest run that there may have been, as a member tells that
// comes back. Where it comes back to a new registry there may have been one more, which
// only members knew that are lost: what they sent is still counted under its number.
func (r *Registry) latestRun(req control.Register) uint64 {
	if req.Incarnation != 0 && r.members.Recovering() {
		return req.Run + 1
	}
	return req.Run
}

// lose takes note that a member has died or left. Nothing is expected of it any more.
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

// remind asks a member again whose connection had ended, since the question or the
// answer may be lost.
func (u *run) remind(s *session) {
	ref := s.member.Ref()
	if _, ok := u.awaitingFinish[ref]; ok {
		s.conn.Send(control.TypeTask, u.task)
	}
	if _, ok := u.awaitingSummary[ref]; ok && u.phase == collecting {
		s.conn.Send(control.TypeCollect, control.Collect{Run: u.number})
	}
	if _, ok := u.awaitingPairs[ref]; ok && u.phase == explaining {
		s.conn.Send(control.TypeExplain, control.Explain{Run: u.number})
	}
}
