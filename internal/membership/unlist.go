package membership

import (
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// A member that is about to leave is first taken off the lists of those that serve, so that no new
// work comes to it while it winds up. It stays a member and in all tables, since it sends, answers and
// relays. So this is a change of the lists alone:
//
//	listed ──Unlist──▶ unlisting ──announced──▶ awaits confirmations ──all, or a lease──▶ unlisted ──Leave
//
// The members confirm the list (Listed), or a manifest that has it (Linked). A member that cannot
// confirm, since it is of an earlier version, is not waited for; nor is one that is left out, or that
// has asked to leave and so sends nothing new.
//
// Rejected: taking the leaver off the list of members that exist. Its links, its streams and its
// incarnation would count as over.

// Unlist takes a member off the lists of those that serve. It is told when no member lists it, or a
// lease after that was announced, several in a large ring. A member that asks again is answered again.
func (a *Authority) Unlist(ref ring.Ref) {
	m := a.find(ref)
	switch {
	case m == nil || m.status == leaving || slices.Contains(a.unlisting, m):
	case m.unlisting || !m.announced: // no list has it, and none will
		m.unlisting = true
		a.send(m, control.TypeUnlisted, control.Unlisted{})
	default:
		m.unlisting = true
		a.unlisting = append(a.unlisting, m)
		a.unannouncedLeaving = append(a.unannouncedLeaving, m)
	}
}

// resumeLeaving is Unlist for a member that comes back, before it is in a manifest. By a message behind
// its request others could be told that it serves again.
func (a *Authority) resumeLeaving(ref ring.Ref, r Request) {
	if r.Leaving {
		a.Unlist(ref)
	}
}

// Listed takes a member's confirmation that its list is of an epoch.
func (a *Authority) Listed(ref ring.Ref, epoch uint64) {
	if m := a.find(ref); m != nil && epoch <= a.listEpoch {
		m.listEpoch = max(m.listEpoch, epoch)
	}
}

// noteManifest notes which list a member is told with a manifest of this epoch. A newcomer has no
// earlier one.
func (a *Authority) noteManifest(m *member) {
	m.manifestEpoch, m.manifestList = a.epoch, a.listEpoch
	if !m.hasList && m.resumedEpoch == 0 {
		m.listEpoch = a.listEpoch
	}
	m.hasList = true
}

// tellUnlisted tells the members that no other lists any more.
func (a *Authority) tellUnlisted(now Time) (next Time) {
	if len(a.unlisting) == 0 {
		return 0
	}
	confirmed := a.listEpoch // by all
	for _, m := range a.sortedMembers() {
		if m.confirms && m.hasList && m.status != leaving && m.leftOut == "" {
			confirmed = min(confirmed, m.listEpoch)
		}
	}
	for _, m := range slices.Clone(a.unlisting) {
		if m.unlistedAt == 0 { // announce knows when it is due
			continue
		}
		if now < m.unlistBy.at && confirmed < m.unlistedAt {
			next = earliest(next, m.unlistBy.at)
			continue
		}
		a.unlisting = without(a.unlisting, m)
		a.send(m, control.TypeUnlisted, control.Unlisted{})
	}
	return next
}

// unlist notes that the next list has members as such that are about to leave.
func (a *Authority) unlist(known []*member) (leaving []*member) {
	leaving = a.unannouncedLeaving
	a.unannouncedLeaving = nil
	for _, m := range known {
		if m.unlisting {
			leaving = append(leaving, m)
		}
	}
	for _, m := range leaving {
		m.unlistedAt, m.unlistBy = a.listEpoch, within(a.now, a.basePatience()/StuckLeases)
	}
	return leaving
}

// serves reports whether the present list has a member as one that serves.
func (m *member) serves() bool { return m.announced && m.unlistedAt == 0 }
