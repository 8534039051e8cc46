package membership

import (
	"fmt"
	"time"

	"github.com/x/ringdht/internal/ring"
	public "github.com/x/ringdht/status"
)

// StuckLeases is n in "nothing waits for a member that makes no progress for n leases": neither the
// settling of a ring, nor an announcement, nor a traffic run.
//
// A member that only hangs is declared dead after one lease. So this is about members that send
// heartbeats and do nothing else. It is ten times what a node needs at most to try a link and to
// say that it failed, so a slow node that goes on is never left out.
const StuckLeases = public.StuckLeases

// Patience is how long a member may make no progress: [StuckLeases] leases, or more in a large ring
// and for a member that runs late. It goes by the pace that the registry grants and not by what a
// member claims.
func (a *Authority) Patience(ref ring.Ref) time.Duration {
	late := time.Duration(0)
	if m := a.find(ref); m != nil {
		late = m.lateness
	}
	return a.basePatience() + late
}

func (a *Authority) basePatience() time.Duration {
	return StuckLeases * a.Lease * time.Duration(a.targetPace())
}

// Idle is how long nothing has been heard of a kind that was last heard at last. Time in which this
// process did not run does not count.
func (a *Authority) Idle(now Time, last LastHeard) time.Duration {
	return max(0, now-last.at-a.missed.Since(last.missed).All)
}

// owe takes note that a member was told a table which it must confirm. The clock runs from the first
// table that is not confirmed.
func (a *Authority) owe(m *member) {
	if m.owesBy.at == 0 {
		m.owesBy, m.owesEpoch = within(a.now, a.Patience(m.Ref())), m.sent
		if !m.owing {
			m.owing = true
			a.owing = append(a.owing, m)
		}
	}
}

// paid takes note that a member has confirmed a table. Only the tables that it had when its clock
// started count as progress, so it cannot gain time by confirming old ones one by one. A member that
// was left out counts again once it has confirmed all.
func (a *Authority) paid(m *member) {
	switch {
	case m.acked == m.sent:
		m.owesBy = deadline{}
		if m.leftOut != "" && (m.noWay == nil || !m.noWay.is) {
			a.countAgain(m)
		}
	case m.leftOut == "" && m.acked >= m.owesEpoch:
		m.owesBy, m.owesEpoch = within(a.now, a.Patience(m.Ref())), m.sent
	}
}

// leaveOutStuck leaves out the members whose time is up, and returns when to call it again.
func (a *Authority) leaveOutStuck(now Time) (next Time) {
	kept := a.owing[:0]
	for _, m := range a.owing {
		switch {
		case m.owesBy.at == 0: // it has confirmed all, and is taken off the list here: one pass is cheaper than many
			m.owing = false
			continue
		case m.leftOut != "":
		case now >= m.owesBy.at:
			a.leaveOut(m, fmt.Sprintf("it has not confirmed its table for %v, and nothing waits for it", a.Patience(m.Ref())))
		default:
			next = earliest(next, m.owesBy.at)
		}
		kept = append(kept, m)
	}
	clear(a.owing[len(kept):])
	a.owing = kept
	return earliest(next, a.leaveOutCut(now))
}

// leaveOut stops all waits for a member. It stays a member, in the tables of others if it was there.
func (a *Authority) leaveOut(m *member, why string) {
	m.leftOut, m.leftOutAt = why, a.now
	a.emitEvent(LeftOut, m, why)
}

// countAgain ends that.
func (a *Authority) countAgain(m *member) {
	m.leftOut = ""
	a.emitEvent(CountsAgain, m, "")
}

// cut is a member that has told, for some time, that it cannot reach one of its successors, while no
// detour is left. Or it is a member of which others tell that. The time of such reports adds up; time
// without one takes off [calming] times as much. So a member that takes its report back for a moment,
// over and over, gains nothing.
type cut struct {
	bad time.Duration
	at  Time // when bad was reckoned
	is  bool // there was a report then
}

const calming = 4

// leaveOutCut leaves out the members because of which pairs have had no link and no detour for too
// long, and returns when to call it again. A member that takes a report back counts again at once.
func (a *Authority) leaveOutCut(now Time) (next Time) {
	if a.dirty || a.detoursDirty || len(a.pairs) == 0 && len(a.cut) == 0 {
		return 0 // which pairs have no detour is known after the next plan
	}
	blamed := make(map[*member]UnreachablePair)
	blame := a.blame()
	for _, p := range a.allWithoutDetour() {
		m := a.find(blame(p))
		if _, known := blamed[m]; known {
			continue
		}
		blamed[m] = p
		if m.noWay == nil {
			m.noWay = &cut{at: now}
			a.cut = append(a.cut, m)
		}
	}
	kept := a.cut[:0]
	for _, m := range a.cut {
		c, patience := m.noWay, a.Patience(m.Ref())
		p, is := blamed[m]
		if passed := max(0, now-c.at); c.is {
			c.bad = min(c.bad+passed, patience)
		} else {
			c.bad = max(0, c.bad-calming*passed)
		}
		c.at, c.is = max(c.at, now), is
		switch {
		case is && c.bad >= patience && m.leftOut == "":
			a.leaveOut(m, fmt.Sprintf("node %d has told for %v that it cannot reach node %d, and there is no way around: %s", p.From.ID, patience, p.To.ID, p.Why))
		case is && m.leftOut == "":
			next = earliest(next, now+patience-c.bad)
		case !is:
			if m.leftOut != "" && m.owesBy.at == 0 {
				a.countAgain(m)
			}
			if c.bad == 0 {
				m.noWay = nil
				continue
			}
			next = earliest(next, now+c.bad/calming+1)
		}
		kept = append(kept, m)
	}
	clear(a.cut[len(kept):])
	a.cut = kept
	return next
}

// blame returns a function that picks the member of a pair because of which there is no way: the one
// that more members tell of, if several do, and else the one that tells. The registry cannot know,
// so the reason names both.
func (a *Authority) blame() func(UnreachablePair) ring.Ref {
	tells, told := make(map[ring.Ref]int), make(map[ring.Ref]int)
	for p := range a.pairs {
		tells[p.from]++
		told[p.to]++
	}
	return func(p UnreachablePair) ring.Ref {
		from, to := p.From.Ref(), p.To.Ref()
		if told[to] > 1 && told[to] > tells[from] {
			return to
		}
		return from
	}
}

// OneLeftOut is a member that nothing waits for.
type OneLeftOut struct {
	Member ring.Member
	At     Time // since when
	Why    string
}

// AllLeftOut lists them by ascending ID.
func (a *Authority) AllLeftOut() (list []OneLeftOut) {
	for _, m := range a.sortedMembers() {
		if m.leftOut != "" {
			list = append(list, OneLeftOut{m.Member, m.leftOutAt, m.leftOut})
		}
	}
	return list
}

// Announced says whether other members may send to a member.
func (a *Authority) Announced(ref ring.Ref) bool {
	m := a.find(ref)
	return m != nil && m.announced
}

// WhyLeftOut is why nothing waits for a member, empty if it counts.
func (a *Authority) WhyLeftOut(ref ring.Ref) string {
	if m := a.find(ref); m != nil {
		return m.leftOut
	}
	return ""
}
