package membership

import "fmt"

// recoverMember rebuilds the ring of an earlier registry from what a member of it says.
// The first such member begins the recovery.
func (a *Authority) recoverMember(now Time, m *member, r Request) {
	if !a.recovering {
		a.Recover(now)
	}
	if a.secondGrace { // the others may be on their way as well
		a.recoveryEnd, a.secondGrace = within(now, a.Grace), false
	}
	a.expected = false
	a.adopt(r.Identity)
	a.goLive(a.layout) // also after Recover
	a.paces[min(max(0, r.Pace), MaxPace)]++
	if late := a.Lease * Time(a.attestedPace()-1); late > a.extraGrace { // each notices at its next heartbeat
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
		a.newestEpoch, a.layout = r.Epoch, m.resumedLayout
	}
}

// endRecovery ends the recovery when all members have had time to come back.
//
// It does not end early when as many are back as a member says there were. That member
// may not know the latest newcomers, or may have been out of the ring itself, and a member
// that comes after the end is evicted.
//
// If a kept record says that there are members and none is back, they get two leases more, and
// the first that comes starts a whole grace.
func (a *Authority) endRecovery(now Time) (next Time) {
	if now < a.recoveryEnd.at {
		return a.recoveryEnd.at
	}
	if a.expected && !a.secondGrace {
		a.secondGrace, a.recoveryEnd = true, within(now, 2*a.Lease)
		return a.recoveryEnd.at
	}
	back := 0
	for _, m := range a.byID {
		if m.status == active {
			back++
		}
	}
	a.recovering, a.expected, a.secondGrace, a.extraGrace = false, false, false, 0
	if a.live {
		a.settleIdentity()
	}
	clear(a.knownDead)
	clear(a.lastDead)
	a.overFull = false
	a.endOverclaims(now)
	a.endLate(now)
	a.resumeListEpoch(now)
	for _, m := range a.suspects { // their timeout begins now
		if d := within(now, a.timeout(m)); d.at > m.suspicion.until.at {
			m.suspicion.until = d
		}
	}
	a.dirty, a.exact, a.lastChange = a.live, a.live, now
	a.announceBy = within(now, a.Lease)
	why := "no member of an earlier ring has come back"
	if back > 0 {
		why = fmt.Sprintf("%d members of the earlier ring are back", back)
	}
	a.emit(Effect{Kind: Rebuilt, Why: why})
	return 0
}

// whyRecovering says what newcomers wait for. The text stays the same all that time, so that the
// log of a node that tries again has it once.
func (a *Authority) whyRecovering() string {
	if len(a.byID) == 0 {
		return fmt.Sprintf("the registry has just started, and members of an earlier ring may come back first, for %v", a.Grace)
	}
	return fmt.Sprintf("the registry has restarted, and the members of the earlier ring may come back first, for %v", a.Grace)
}
