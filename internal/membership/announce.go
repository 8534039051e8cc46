package membership

import (
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
)

// releaseLeavers releases the leaving members when all others have confirmed tables
// without them.
func (a *Authority) releaseLeavers(now Time) (next Time) {
	if len(a.leavers) == 0 {
		return 0
	}
	held := len(a.batch) > 0 // the batch was told of a ring with the leavers in it
	for _, m := range a.sortedMembers() {
		if m.status == active && m.acked < m.sent && m.suspicion == nil && m.leftOut == "" {
			held = true
			break
		}
	}
	for _, m := range slices.Clone(a.leavers) {
		if held && now < m.until.at {
			next = earliest(next, m.until.at)
			continue
		}
		a.release(m)
	}
	return next
}

// announce tells all members which nodes can be sent to from now on, and which are gone.
func (a *Authority) announce(now Time) (next Time) {
	known := a.announceable(now)
	if slices.ContainsFunc(a.unannounced, func(m *member) bool { return m.leftOut == "" }) {
		next = earliest(a.announceBy.at, a.gatherBy)
	}
	if len(known) == 0 && len(a.unannouncedDead) == 0 && len(a.unannouncedLeft) == 0 && len(a.unannouncedLeaving) == 0 {
		return next
	}
	if due := a.announcedAt + a.announceInterval(); len(known) == 0 && now < due {
		return earliest(next, due)
	}
	a.publish(now, known)
	for _, m := range known {
		a.send(m, control.TypeReady, control.Ready{Epoch: a.epoch})
		a.emitEvent(Ready, m, "")
	}
	return next
}

// beforeManifests prepares the list that manifests have. A ring of which no member has come back counts on
// from a random number, for the sake of members that are cut off.
//
// It announces the ends that are not announced, if a member has the ID of one of them: that member cannot
// have its own ID on its list, as the others have still. It also announces members that are about to
// leave, so that no manifest has them as ones that serve.
func (a *Authority) beforeManifests(now Time) {
	if a.listEpoch == 0 && a.Kept != nil && a.Kept.Identity != "" {
		a.listEpoch = listStep(a.lastInc)
	}
	if len(a.unannouncedLeaving) > 0 || slices.ContainsFunc(a.listed, func(m *member) bool { return a.byID[m.ID] != nil }) {
		a.publish(now, nil)
	}
}

// publish tells all members of newcomers, and of all that are gone.
func (a *Authority) publish(now Time, known []*member) {
	a.announcedAt = now
	a.listEpoch++
	note := control.Announce{Epoch: a.epoch, Members: int64(len(a.activeMembers())), ListEpoch: a.listEpoch}
	for _, m := range known {
		m.announced = true
	}
	note.Gone = append(note.Gone, a.unannouncedDead...)
	note.Signatures = a.signatures(note.Gone, note.Epoch)
	note.Left = append(note.Left, a.unannouncedLeft...)
	ended, leaving := a.listed, a.unlist(known)
	for _, m := range leaving {
		note.Leaving = append(note.Leaving, m.Ref())
	}
	a.unannouncedDead, a.unannouncedLeft, a.listed = nil, nil, nil
	a.tellServices(known, ended, leaving, int(note.Members))
	notes := a.samples(note, known)
	for _, m := range a.sortedMembers() {
		if m.status != waiting {
			note := &notes[0]
			if len(notes) > 1 {
				note = &notes[a.Draw(uint64(len(notes)))]
			}
			a.emit(Effect{Kind: Send, Ref: m.Ref(), Type: control.TypeAnnounce, Body: note.body, Frame: &note.frame})
		}
	}
}

// gatherTime is how long newcomers that all tables lead to wait for others that are on their way, to
// be announced together. Under churn some are always on their way.
func (a *Authority) gatherTime() time.Duration { return max(a.Lease/32, a.announceInterval()) }

// announceable takes from the unannounced those that all tables lead to. They are
// announced together, unless some of them take too long.
func (a *Authority) announceable(now Time) (known []*member) {
	if len(a.unannounced) == 0 {
		a.gatherBy = 0
		return nil
	}
	// Tables lead to a member if it and the member before it confirmed their successors,
	// and if they lead to the member before it: else a member farther back knows neither.
	// A member that is left out counts as one that has confirmed: it may deny the members behind it,
	// and else these would wait for it for ever.
	// The loop goes round twice, since the chain may start before the lowest ID.
	all := a.sortedMembers()
	before, reached := lastActive(all), true
	for range 2 {
		for _, m := range all {
			if m.status == active && m.stub == nil {
				confirmed := before.acked >= before.successor || before.leftOut != ""
				reached = confirmed && (before.announced || reached)
				m.routable = reached
				before = m
			}
		}
	}
	// A stub must not deny that a member behind it exists. It need not hold up the others.
	stubsKnow := now >= a.announceBy.at || !slices.ContainsFunc(all, func(m *member) bool { return m.stub != nil && m.status == active && m.acked < m.successor })
	var unripe []*member
	waits := false
	for _, m := range a.unannounced {
		if m.acked >= m.successor && m.routable && stubsKnow {
			known = append(known, m)
		} else {
			unripe = append(unripe, m)
			waits = waits || m.leftOut == ""
		}
	}
	switch {
	case len(known) == 0:
		a.gatherBy = 0
	case a.gatherBy == 0:
		a.gatherBy = now + a.gatherTime()
	}
	if waits && now < a.announceBy.at && (len(known) == 0 || now < a.gatherBy) {
		return nil
	}
	a.gatherBy = 0
	if waits {
		a.announceBy = within(now, a.Lease)
	}
	a.unannounced = unripe
	return known
}

// lastActive is the active member with the highest ID that is no stub.
func lastActive(all []*member) (last *member) {
	for _, m := range all {
		if m.status == active && m.stub == nil {
			last = m
		}
	}
	return last
}
