package membership

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// quiet is how long nobody must have come or gone before the entries that lag behind
// are put right: to do so costs a message to every member.
func (a *Authority) quiet() time.Duration {
	return max(time.Second, time.Duration(len(a.by))*50*time.Microsecond)
}

// pace is the least time between two announcements, each of which costs a message to
// every member.
func (a *Authority) pace() time.Duration { return time.Duration(len(a.by)) * 20 * time.Microsecond }

// Setup makes the ring a live one, or gives it tables of another layout: everybody is
// told everything.
func (a *Authority) Setup(now Time, layout ring.Layout) {
	a.live, a.layout, a.sized = true, layout, true
	for _, m := range a.by {
		m.full = true
		m.stalled = false
	}
	a.dirty, a.exact = true, true
}

// Linked takes a member's word that what it was told with an epoch is in use.
func (a *Authority) Linked(ref ring.Ref, epoch uint64) {
	m := a.find(ref)
	if m == nil || epoch > m.sent {
		return
	}
	m.acked = max(m.acked, epoch)
	if epoch == m.sent {
		m.stalled = false
	}
}

// Advance does what is due, and returns when to call it again, 0 for only after the
// next event.
func (a *Authority) Advance(now Time) (next Time) {
	next = a.expire(now)
	if a.recovering {
		next = soonest(next, a.rebuild(now))
	}
	if a.recovering || !a.live {
		return next
	}
	next = soonest(next, a.admitBatch(now))
	if a.plans.Lag() > 0 && !a.dirty {
		if due := a.last + a.quiet(); now >= due {
			a.dirty, a.exact = true, true
		} else {
			next = soonest(next, due)
		}
	}
	if a.detoured && !a.dirty && now < a.leadAt { // ways around that do not last must not keep everybody busy
		next = soonest(next, a.leadAt)
	} else if a.dirty || a.detoured {
		a.leadAt = now + a.Lease/32
		a.plan()
	}
	next = soonest(next, a.letGo(now))
	return soonest(next, a.announce(now))
}

// admitBatch takes newcomers into the ring, a batch at a time.
func (a *Authority) admitBatch(now Time) (next Time) {
	if len(a.batch) == 0 {
		for _, m := range a.everyone() {
			if m.status == waiting && m.doubt == nil && !m.stalled {
				a.batch = append(a.batch, m)
			}
		}
		if len(a.batch) == 0 {
			return 0
		}
		tables := a.tables()
		a.batchBy = within(now, a.Lease)
		if len(tables) == 0 { // nobody has to be kept from them
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

// introduce tells the batch, and nobody else, of a ring with all of the batch in it.
func (a *Authority) introduce(tables []ring.Member) {
	a.epoch++
	for _, m := range a.batch {
		m.status = linking
		tables = append(tables, m.Member)
	}
	slices.SortFunc(tables, func(x, y ring.Member) int { return cmp.Compare(x.ID, y.ID) })
	a.layout = a.layout.For(len(tables))
	at := 0
	known := a.known()
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
		m.intro = view
		m.sent, m.successor = a.epoch, a.epoch
		a.send(m, control.TypeManifest, a.manifest(m, view, len(tables), known))
	}
}

// join takes the batch into everybody's tables.
func (a *Authority) join(now Time) {
	first := len(a.tables()) == 0
	for _, m := range a.batch {
		if m.acked < m.sent && !first { // not ready, and it must not hold up others
			m.status, m.stalled = waiting, true
			continue
		}
		m.status, m.full, m.intro = active, true, ring.View{}
		if len(a.fresh) == 0 {
			a.freshBy = within(now, a.Lease)
		}
		a.fresh = append(a.fresh, m)
	}
	a.batch = nil
	a.dirty, a.last = true, now
}

// tables lists the members that are in tables, by ascending ID.
func (a *Authority) tables() []ring.Member {
	list := make([]ring.Member, 0, len(a.by))
	for _, m := range a.everyone() {
		if m.status == active {
			list = append(list, m.Member)
		}
	}
	return list
}

// plan finds out what everybody must be told, and tells them.
func (a *Authority) plan() {
	tables := a.tables()
	for _, m := range tables {
		if a.by[m.ID].full {
			a.plans.Forget(m.ID)
		}
	}
	a.layout = a.layout.For(len(tables))
	changes := a.plans.Update(tables, a.layout.Offsets, a.exact)
	a.dirty, a.exact = false, false
	a.inTables = len(tables)
	a.epoch++
	told := make(map[uint64]*control.Update, len(changes))
	for _, c := range changes {
		m := a.by[tables[c.At].ID]
		if c.Successors != nil {
			m.successor = a.epoch
		}
		if m.full { // below, when its detours are known
			continue
		}
		u := &control.Update{Epoch: a.epoch, Members: int64(len(tables)), Entries: int64(c.Size)}
		for _, s := range c.Slots {
			p := a.by[s.Peer.ID]
			u.Slots = append(u.Slots, control.Slot{At: int64(s.At), ID: p.ID, Life: p.Life, Addr: p.Addr})
		}
		if c.Successors != nil {
			u.NewSuccessors, u.Successors = true, a.peers(c.Successors)
		}
		told[m.ID] = u
	}
	a.readdress(tables, told)
	a.lead(tables, told)
	for _, m := range tables {
		for _, gone := range a.owed[m.ID] {
			u := a.updateFor(told, m.ID)
			u.Gone = append(u.Gone, control.Ref(gone))
		}
	}
	clear(a.owed)
	var known []*member // made for the first manifest
	used := false
	for _, found := range tables { // in a fixed order, one message of an epoch to each
		m, u := a.by[found.ID], told[found.ID]
		switch {
		case m.full:
			m.full = false
			view, _ := a.plans.View(m.ID)
			if known == nil {
				known = a.known()
			}
			a.tell(m, control.TypeManifest, a.manifest(m, view, len(tables), known))
			if u != nil && len(u.Gone) > 0 { // for which a manifest has no room
				a.send(m, control.TypeAnnounce, control.Announce{Epoch: a.epoch, Members: int64(len(tables)), Gone: u.Gone})
			}
		case u != nil:
			a.tell(m, control.TypeUpdate, *u)
			used = true
		}
	}
	if !used && len(changes) == 0 {
		a.epoch-- // nobody heard of it
	}
}

// updateFor finds the update for a member, or makes one that changes nothing.
func (a *Authority) updateFor(told map[uint64]*control.Update, id uint64) *control.Update {
	u := told[id]
	if u == nil {
		view, _ := a.plans.View(id)
		u = &control.Update{Epoch: a.epoch, Members: int64(a.inTables), Entries: int64(len(view.Entries))}
		told[id] = u
	}
	return u
}

func (a *Authority) tell(m *member, t wire.Type, body any) {
	m.sent = a.epoch
	a.send(m, t, body)
}

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

// wordy is how many of those that are missing are put into words.
const wordy = 3

// Missing says what keeps the ring from being as it should be, or nothing. It is asked
// at every change, so of many only the first few are put into words; the others are
// empty.
func (a *Authority) Missing() (list []string) {
	if !a.live {
		return []string{"it has not been set up: run Setup (setup-overlay)"}
	}
	if a.recovering {
		return []string{"the registry has been restarted, and members of the ring that was have time to come back"}
	}
	for _, m := range a.everyone() {
		why := ""
		switch {
		case m.doubt != nil:
			why = "is out of sight: " + m.doubt.why
		case m.status == leaving:
			why = "is leaving"
		case m.stalled || m.status == active && m.acked < m.sent:
			why = "has not reported its links up"
		case m.status == waiting || m.status == linking:
			why = "is about to be taken in"
		default:
			continue
		}
		if len(list) < wordy {
			why = fmt.Sprintf("node %d (%s) %s", m.ID, m.Addr, why)
		} else {
			why = ""
		}
		list = append(list, why)
	}
	if len(list) == 0 && (a.dirty || a.detoured || len(a.fresh) > 0) {
		list = append(list, "newcomers are not announced yet")
	}
	if len(list) == 0 && len(a.gone)+len(a.left) > 0 {
		list = append(list, "those that are gone are not announced yet")
	}
	return list
}

// Lagging counts the entries that are not where the present membership would have them.
func (a *Authority) Lagging() int { return a.plans.Lag() }
