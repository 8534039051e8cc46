package membership

import (
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// peers looks up the addresses of members.
func (a *Authority) peers(refs []ring.Ref) []ring.Peer {
	list := make([]ring.Peer, len(refs))
	for i, r := range refs {
		list[i] = a.byID[r.ID].Peer
	}
	return list
}

// slot is an entry of a table that names a member.
func slot(at int, m *member) control.Slot {
	return control.Slot{At: int64(at), ID: m.ID, Incarnation: m.Incarnation, Addr: m.Addr}
}

// manifest is everything that a member must know. known is the result of announcedMembers.
func (a *Authority) manifest(m *member, view ring.View, members int, known []*member) control.Manifest {
	note := control.Manifest{
		Identity: string(a.identity), Epoch: a.epoch, Incarnation: a.lastInc, Size: int64(a.layout.K), Members: int64(members),
		Entries: a.peers(view.Entries), Successors: a.peers(view.Successors),
		Detours: m.detours, Hold: m.hold, Stubs: m.lastHops,
	}
	if a.layout.Fewest {
		note.Plan = control.FewestHops
	}
	note.Others, note.Incs, note.Idle = a.others(m, known)
	return note
}

// announcedMembers lists the announced members by ascending ID. If they are more than a
// manifest lists, they are shuffled, so that any stretch of them is a fair sample.
func (a *Authority) announcedMembers() []*member {
	known := make([]*member, 0, len(a.byID))
	for _, m := range a.sortedMembers() {
		if m.announced {
			known = append(known, m)
		}
	}
	if len(known) > control.MaxOthers {
		a.shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	}
	return known
}

// others lists the known members except m. Of more than a manifest lists it takes a
// stretch with a random start. incs has their incarnations.
func (a *Authority) others(m *member, known []*member) (others, incs, idle []uint64) {
	from := 0
	if len(known) > control.MaxOthers {
		from = int(a.Draw(uint64(len(known))))
	}
	for i := range known {
		if len(others) == control.MaxOthers {
			break
		}
		o := known[(from+i)%len(known)]
		if o == m {
			continue
		}
		others, incs = append(others, o.ID), append(incs, o.Incarnation)
		if !o.Traffic {
			idle = append(idle, o.ID)
		}
	}
	return others, incs, idle
}

// announcement is a message to many members, and its encoding once that is made.
type announcement struct {
	body  any
	frame []byte
}

// maxSamples is how many different samples a mass join is announced in. With one for each
// member, the announcement of 10,000 took a gigabyte and most of the time of a set-up.
const maxSamples = 64

// samples cuts the list of newcomers to [control.MaxOthers]. It shuffles the list and
// takes maxSamples stretches of it, each for some of the members. The stretches start at
// equal distances, so every newcomer is on the same number of them.
func (a *Authority) samples(note control.Announce) []announcement {
	n := len(note.Added)
	if n <= control.MaxOthers {
		return []announcement{{body: note}}
	}
	idle := make(map[uint64]struct{}, len(note.Idle))
	for _, id := range note.Idle {
		idle[id] = struct{}{}
	}
	a.shuffle(n, func(i, j int) {
		note.Added[i], note.Added[j] = note.Added[j], note.Added[i]
		note.Incarnations[i], note.Incarnations[j] = note.Incarnations[j], note.Incarnations[i]
	})
	notes := make([]announcement, maxSamples)
	for s := range notes {
		part := note
		part.Added, part.Incarnations, part.Idle = nil, nil, nil
		for i := range control.MaxOthers {
			at := (s*n/maxSamples + i) % n
			part.Added, part.Incarnations = append(part.Added, note.Added[at]), append(part.Incarnations, note.Incarnations[at])
			if _, ok := idle[note.Added[at]]; ok {
				part.Idle = append(part.Idle, note.Added[at])
			}
		}
		notes[s].body = part
	}
	return notes
}

func (a *Authority) shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, int(a.Draw(uint64(i+1))))
	}
}
