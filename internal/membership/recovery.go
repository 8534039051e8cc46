package membership

import (
	"fmt"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// recoverMember rebuilds the ring of an earlier registry from what a member of it says.
// The first such member begins the recovery.
func (a *Authority) recoverMember(now Time, m *member, r Request) {
	if !a.recovering {
		a.recovering = true
		a.recoveryEnd = within(now, a.Grace)
	}
	a.live = true                                            // also after Recover
	if late := a.timeout(m) - a.Lease; late > a.extraGrace { // each notices at its next heartbeat
		a.recoveryEnd.putOff((late-a.extraGrace)/3, true)
		a.extraGrace = late
	}
	a.epoch = max(a.epoch, r.Epoch)
	m.status, m.announced, m.needsManifest = active, r.Ready, true
	m.sent, m.acked = r.Epoch, r.Epoch
	if !r.Ready {
		// It does not know that it was announced. The member before it may not know it,
		// and would deny that it exists. So it is announced when that member has
		// confirmed the tables of this registry.
		a.unannounced = append(a.unannounced, m)
	}
	if r.Epoch >= a.newestEpoch && !a.layoutSet { // the latest report counts, but the operator's choice more
		a.newestEpoch, a.layout = r.Epoch, ring.Layout{Fewest: r.Plan == control.FewestHops, K: r.Size}
	}
}

// Recover makes the authority wait for members of an earlier registry from the start.
func (a *Authority) Recover(now Time) {
	a.recovering, a.recoveryEnd = true, within(now, a.Grace)
}

// endRecovery ends the recovery when all members have had time to come back.
//
// It does not end early when as many are back as a member says there were. That member
// may not know the latest newcomers, or may have been out of the ring itself, and a member
// that comes after the end is evicted.
func (a *Authority) endRecovery(now Time) (next Time) {
	if now < a.recoveryEnd.at {
		return a.recoveryEnd.at
	}
	back := 0
	for _, m := range a.byID {
		if m.status == active {
			back++
		}
	}
	a.recovering, a.extraGrace = false, 0
	clear(a.knownDead)
	for _, m := range a.suspects { // their timeout begins now
		if d := within(now, a.timeout(m)); d.at > m.suspicion.until.at {
			m.suspicion.until = d
		}
	}
	a.dirty, a.exact, a.lastChange = a.live, a.live, now
	a.announceBy = within(now, a.Lease)
	a.emit(Effect{Kind: Rebuilt, Why: fmt.Sprintf("%d members of the earlier ring are back", back)})
	return 0
}
