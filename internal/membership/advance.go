package membership

import (
	"cmp"
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// quietPeriod is how long the membership must not have changed before lagging entries are
// corrected. The correction costs a message to every member.
func (a *Authority) quietPeriod() time.Duration {
	return max(time.Second, time.Duration(len(a.byID))*50*time.Microsecond)
}

// announceInterval is the least time between two announcements, each of which costs a
// message to every member.
func (a *Authority) announceInterval() time.Duration {
	return time.Duration(len(a.byID)) * 20 * time.Microsecond
}

// Setup makes the ring live, or gives it tables of another layout. All members are told
// everything.
func (a *Authority) Setup(now Time, layout ring.Layout) {
	a.goLive(layout)
	a.layoutSet = true
	for _, m := range a.byID {
		m.needsManifest = true
		m.stalled = false
	}
	a.dirty, a.exact = true, true
}

// Linked takes a member's confirmation that it uses what it was told up to an epoch.
func (a *Authority) Linked(ref ring.Ref, epoch uint64) {
	m := a.find(ref)
	if m == nil || epoch > m.sent {
		return
	}
	if epoch > m.acked {
		m.acked = epoch
		if m.hasList && epoch >= m.manifestEpoch {
			m.listEpoch = max(m.listEpoch, m.manifestList)
		}
		a.paid(m)
	}
	if epoch == m.sent {
		m.stalled = false
	}
}

// Advance does what is due, and returns when to call it again: 0 means after the next
// event only.
func (a *Authority) Advance(now Time) (next Time) {
	a.now = now
	next = a.expire(now)
	if a.recovering {
		next = earliest(next, a.endRecovery(now))
	}
	if !a.recovering && !a.live && len(a.byID) > 0 { // they had no table, and came back
		a.found(now)
	}
	if a.recovering || !a.live || a.waitsForState() {
		return next // no tables yet
	}
	next = earliest(next, a.judgeRelays(now))
	next = earliest(next, a.admitBatch(now))
	if a.plans.Lag() > 0 && !a.dirty {
		if due := a.lastChange + a.quietPeriod(); now >= due {
			a.dirty, a.exact = true, true
		} else {
			next = earliest(next, due)
		}
	}
	if a.detoursDirty && !a.dirty && now < a.detoursAt { // short-lived detours must not keep the ring busy
		next = earliest(next, a.detoursAt)
	} else if a.dirty || a.detoursDirty {
		a.detoursAt = now + a.Lease/32
		a.plan()
	}
	next = earliest(next, a.leaveOutStuck(now))
	next = earliest(next, a.releaseLeavers(now))
	next = earliest(next, a.announce(now))
	return earliest(next, a.tellUnlisted(now))
}

// admitBatch takes newcomers into the tables, a batch at a time.
func (a *Authority) admitBatch(now Time) (next Time) {
	if len(a.batch) == 0 {
		for _, m := range a.sortedMembers() {
			if m.status == waiting && m.suspicion == nil && !m.stalled {
				a.batch = append(a.batch, m)
			}
		}
		if len(a.batch) == 0 {
			return 0
		}
		tables := a.tableMembers()
		a.batchBy = within(now, a.Lease)
		if len(tables) == 0 { // there are no members to introduce them to
			a.join(now)
			return 0
		}
		a.introduce(tables)
	}
	for _, m := range a.batch {
		if m.acked < m.sent && now < a.batchBy.at {
			return a.batchBy.at
		}
	}
	a.join(now)
	return 0
}

// introduce tells the batch, and no other member, of a ring with the whole batch in it.
func (a *Authority) introduce(tables []ring.Member) {
	a.beforeManifests(a.now)
	a.epoch++
	for _, m := range a.batch {
		m.status = linking
		tables = append(tables, m.Member)
	}
	slices.SortFunc(tables, func(x, y ring.Member) int { return cmp.Compare(x.ID, y.ID) })
	a.layout = a.layout.For(len(tables))
	lastHops := ring.Stubs{Tables: tables, Stubs: a.stubMembers()}.LastHops()
	at, size := 0, len(tables)+len(a.stubs())
	known := a.announcedMembers()
	var positions []int
	for _, m := range a.batch {
		for tables[at].ID != m.ID {
			at++
		}
		var view ring.View
		positions = a.layout.Offsets.AppendPositions(positions[:0], len(tables), at)
		for _, p := range positions {
			view.Entries = append(view.Entries, tables[p].Ref())
		}
		for i := 1; i <= ring.Successors && i < len(tables); i++ {
			view.Successors = append(view.Successors, tables[(at+i)%len(tables)].Ref())
		}
		m.introView, m.lastHops = view, lastHops[m.ID]
		m.sent, m.successor = a.epoch, a.epoch
		a.owe(m)
		a.tellWhole(m, a.large(size))
		a.noteManifest(m)
		a.send(m, control.TypeManifest, a.manifest(m, view, size, known))
	}
}

// join makes the members of the batch active: the next plan has them in all tables.
func (a *Authority) join(now Time) {
	first := len(a.tableMembers()) == 0
	for _, m := range a.batch {
		if m.acked < m.sent && !first { // not linked: it must not hold up the others
			m.status, m.stalled = waiting, true
			continue
		}
		m.status, m.needsManifest, m.introView = active, true, ring.View{}
		if len(a.unannounced) == 0 {
			a.announceBy = within(now, a.Lease)
		}
		a.unannounced = append(a.unannounced, m)
	}
	a.batch = nil
	a.dirty, a.lastChange = true, now
}
