package membership

import (
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// tableMembers lists the members that are in tables, by ascending ID.
func (a *Authority) tableMembers() []ring.Member {
	list := make([]ring.Member, 0, len(a.byID))
	for _, m := range a.sortedMembers() {
		if m.status == active && m.stub == nil {
			list = append(list, m.Member)
		}
	}
	return list
}

// activeMembers lists the members that have a table, stubs included, by ascending ID.
func (a *Authority) activeMembers() []ring.Member {
	list := make([]ring.Member, 0, len(a.byID))
	for _, m := range a.sortedMembers() {
		if m.status == active {
			list = append(list, m.Member)
		}
	}
	return list
}

// plan works out what each member must be told, and tells it.
func (a *Authority) plan() {
	a.beforeManifests(a.now)
	tables := a.tableMembers()
	for _, m := range tables {
		if a.byID[m.ID].needsManifest {
			a.plans.Forget(m.ID)
		}
	}
	a.layout = a.layout.For(len(tables))
	changes := a.plans.Update(tables, a.layout.Offsets, a.exact)
	a.dirty, a.exact = false, false
	all := a.activeMembers()
	a.tableCount = len(all)
	a.epoch++
	told := make(map[uint64]*control.Update, len(changes))
	for _, c := range changes {
		m := a.byID[tables[c.At].ID]
		if c.Successors != nil {
			m.successor = a.epoch
		}
		if m.needsManifest { // sent below, when its detours are known
			continue
		}
		u := &control.Update{Epoch: a.epoch, Members: int64(len(all)), Entries: int64(c.Size)}
		for _, s := range c.Slots {
			u.Slots = append(u.Slots, slot(s.At, a.byID[s.Ref.ID]))
		}
		if c.Successors != nil {
			u.NewSuccessors, u.Successors = true, a.peers(c.Successors)
		}
		told[m.ID] = u
	}
	a.planMoves(tables, told)
	a.planStubs(tables, told)
	a.planDetours(tables, all, told)
	for _, m := range all {
		for _, dead := range a.owedDead[m.ID] {
			u := a.updateFor(told, m.ID)
			u.Gone = append(u.Gone, dead)
		}
	}
	clear(a.owedDead)
	var known []*member // made for the first manifest
	used := false
	for _, found := range all { // in a fixed order; at most one table of an epoch to each
		m, u := a.byID[found.ID], told[found.ID]
		switch {
		case m.needsManifest:
			m.needsManifest, used = false, true
			view, _ := a.View(m.ID)
			if known == nil {
				known = a.announcedMembers()
			}
			a.tellWhole(m, a.large(len(all)))
			a.noteManifest(m)
			a.sendTable(m, control.TypeManifest, a.manifest(m, view, len(all), known))
			if u != nil && len(u.Gone) > 0 { // a manifest has no field for these
				a.send(m, control.TypeAnnounce, control.Announce{Epoch: a.epoch, Members: int64(len(all)), Gone: u.Gone, Signatures: a.signatures(u.Gone, a.epoch)})
			}
		case u != nil:
			u.Signatures = a.signatures(u.Gone, u.Epoch)
			a.sendTable(m, control.TypeUpdate, *u)
			used = true
		}
	}
	if !used && len(changes) == 0 {
		a.epoch-- // no member was told of it
	}
}

// updateFor finds the update for a member, or makes one that changes nothing.
func (a *Authority) updateFor(told map[uint64]*control.Update, id uint64) *control.Update {
	u := told[id]
	if u == nil {
		view, _ := a.View(id)
		u = &control.Update{Epoch: a.epoch, Members: int64(a.tableCount), Entries: int64(len(view.Entries))}
		told[id] = u
	}
	return u
}

func (a *Authority) sendTable(m *member, t wire.Type, body any) {
	m.sent = a.epoch
	a.owe(m)
	a.send(m, t, body)
}
