package membership

import (
	"fmt"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// recover begins or goes on to rebuild the ring of an earlier registry from what a
// member of it says.
func (a *Authority) recoverMember(now Time, m *member, r Request) {
	if !a.recovering {
		a.recovering = true
		a.recoveryEnd = within(now, a.Grace)
	}
	a.live = true                                            // also where it was told to wait for them
	if late := a.timeout(m) - a.Lease; late > a.extraGrace { // they notice one after the other, when each beats next
		a.recoveryEnd.putOff((late-a.extraGrace)/3, true)
		a.extraGrace = late
	}
	a.epoch = max(a.epoch, r.Epoch)
	m.status, m.announced, m.needsManifest = active, r.Ready, true
	m.sent, m.acked = r.Epoch, r.Epoch
	if !r.Ready {
		// It was about to be announced, or was and did not hear of it. The node before
		// it may not know of it, and would say that it does not exist: it is announced
		// when that node has confirmed the tables of the new registry.
		a.unannounced = append(a.unannounced, m)
	}
	if r.Epoch >= a.newestEpoch && !a.layoutSet { // the latest word is the best, but for the operator's
		a.newestEpoch, a.layout = r.Epoch, ring.Layout{Fewest: r.Plan == control.FewestHops, K: r.Size}
	}
}

// Recover makes the authority wait for members of an earlier registry from the start.
func (a *Authority) Recover(now Time) {
	a.recovering, a.recoveryEnd = true, within(now, a.Grace)
}

// rebuild ends the recovery when everybody has had time to come back. It does not end
// sooner when as many are back as a member says there were: the member may not have
// heard of the latest ones, or have been out of the ring itself, and whoever comes
// after the end is told that its life is over.
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
	for _, m := range a.suspects { // their time begins now
		if d := within(now, a.timeout(m)); d.at > m.suspicion.until.at {
			m.suspicion.until = d
		}
	}
	a.dirty, a.exact, a.lastChange = a.live, a.live, now
	a.announceBy = within(now, a.Lease)
	a.emit(Effect{Kind: Rebuilt, Why: fmt.Sprintf("%d members of the ring that was are back", back)})
	return 0
}
