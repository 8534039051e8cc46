package membership

import (
	"slices"

	"github.com/x/ringdht/internal/control"
)

// letGo releases those that leave, when nobody has a link to them any more.
func (a *Authority) letGo(now Time) (next Time) {
	if len(a.leavers) == 0 {
		return 0
	}
	held := len(a.batch) > 0 // they were told of a ring with the leavers in it
	for _, m := range a.everyone() {
		if m.status == active && m.acked < m.sent && m.doubt == nil {
			held = true
			break
		}
	}
	for _, m := range slices.Clone(a.leavers) {
		if held && now < m.until.at {
			next = soonest(next, m.until.at)
			continue
		}
		a.release(m)
	}
	return next
}

// announce tells everybody of those that can be sent to from now on, and of those that
// are gone.
func (a *Authority) announce(now Time) (next Time) {
	known := a.ripe(now)
	if len(a.fresh) > 0 {
		next = a.freshBy.at
	}
	if len(known) == 0 && len(a.gone) == 0 && len(a.left) == 0 {
		return next
	}
	if due := a.goneAt + a.pace(); len(known) == 0 && now < due {
		return soonest(next, due)
	}
	a.goneAt = now
	note := control.Announce{Epoch: a.epoch, Members: int64(len(a.tables()))}
	for _, m := range known {
		m.announced = true
		note.Added, note.Lives = append(note.Added, m.ID), append(note.Lives, m.Life)
		if !m.Traffic {
			note.Idle = append(note.Idle, m.ID)
		}
	}
	for _, ref := range a.gone {
		note.Gone = append(note.Gone, control.Ref(ref))
		if m := a.by[ref.ID]; m != nil && m.announced && !slices.Contains(known, m) {
			// A later life came back from the ring that was. Others know members by their
			// IDs, and must not take it for gone.
			note.Added, note.Lives = append(note.Added, m.ID), append(note.Lives, m.Life)
			if !m.Traffic {
				note.Idle = append(note.Idle, m.ID)
			}
		}
	}
	for _, ref := range a.left {
		note.Left = append(note.Left, control.Ref(ref))
	}
	a.gone, a.left = nil, nil
	notes := a.samples(note)
	for _, m := range a.everyone() {
		if m.status != waiting {
			note := &notes[0]
			if len(notes) > 1 {
				note = &notes[a.Draw(uint64(len(notes)))]
			}
			a.do(Effect{Kind: Send, Ref: m.ref(), Type: control.TypeAnnounce, Body: note.body, Frame: &note.frame})
		}
	}
	for _, m := range known {
		a.send(m, control.TypeReady, control.Ready{Epoch: a.epoch})
		a.news(Ready, m, "")
	}
	return next
}

// ripe takes from the newcomers those that everybody's tables lead to. They become
// known together, unless some of them take too long.
func (a *Authority) ripe(now Time) (known []*member) {
	if len(a.fresh) == 0 {
		return nil
	}
	// A member is led to if it and the one before it know their successors, and if the
	// one before it is led to: else somebody farther back knows of neither. Twice
	// round, since it may go back past the lowest ID.
	all := a.everyone()
	before, reached := lastActive(all), true
	for range 2 {
		for _, m := range all {
			if m.status == active {
				reached = before.acked >= before.successor && (before.announced || reached)
				m.led = reached
				before = m
			}
		}
	}
	var unripe []*member
	for _, m := range a.fresh {
		if m.acked >= m.successor && m.led {
			known = append(known, m)
		} else {
			unripe = append(unripe, m)
		}
	}
	if len(unripe) > 0 && now < a.freshBy.at {
		return nil
	}
	if len(unripe) > 0 {
		a.freshBy = within(now, a.Lease)
	}
	a.fresh = unripe
	return known
}

// lastActive is the one with the highest ID that is in tables.
func lastActive(all []*member) (last *member) {
	for _, m := range all {
		if m.status == active {
			last = m
		}
	}
	return last
}
