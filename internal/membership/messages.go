package membership

import (
	"slices"

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
	others := a.others(m, known)
	for _, o := range others {
		if o.unlistedAt > 0 {
			note.Leaving = append(note.Leaving, o.ID)
		}
	}
	l := list(others)
	note.Others, note.Incs, note.Idle, note.Names, note.ProfileOf, note.Profiles = l.ids, l.incs, l.idle, l.names, l.profileOf, l.profiles
	note.ListEpoch, note.Listed = a.listEpoch, m.serves()
	if len(m.keys) > 0 {
		note.Recovery = a.recovery
	}
	return note
}

// announcedMembers lists the announced members by ascending ID, and behind them those whose end is
// not announced. If they are more than a manifest lists, they are shuffled, so that any stretch of them is a fair sample.
func (a *Authority) announcedMembers() []*member {
	known := make([]*member, 0, len(a.byID))
	for _, m := range a.sortedMembers() {
		if m.announced {
			known = append(known, m)
		}
	}
	known = append(known, a.listed...)
	if len(known) > control.MaxOthers {
		a.shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	}
	return known
}

// others lists the known members except m, and an earlier incarnation of its ID. Of more than a
// manifest lists it takes a stretch with a random start.
func (a *Authority) others(m *member, known []*member) (others []*member) {
	from := 0
	if len(known) > control.MaxOthers {
		from = int(a.Draw(uint64(len(known))))
	}
	for i := range known {
		if len(others) == control.MaxOthers {
			break
		}
		if o := known[(from+i)%len(known)]; o.ID != m.ID {
			others = append(others, o)
		}
	}
	return others
}

// announcement is a message to many members, and its encoding once that is made.
type announcement struct {
	body  any
	frame []byte
}

// maxSamples is how many different samples a mass join is announced in. With one for each
// member, the announcement of 10,000 took a gigabyte and most of the time of a set-up.
const maxSamples = 64

// samples adds newcomers to an announcement, at most [control.MaxOthers]. Of more it shuffles the list and
// takes maxSamples stretches of it, each for some of the members. The stretches start at
// equal distances, so every newcomer is on the same number of them.
func (a *Authority) samples(note control.Announce, newcomers []*member) []announcement {
	with := func(some []*member) announcement {
		note, l := note, list(some)
		note.Added, note.Incarnations, note.Idle, note.Names, note.ProfileOf, note.Profiles = l.ids, l.incs, l.idle, l.names, l.profileOf, l.profiles
		return announcement{body: note}
	}
	n := len(newcomers)
	if n <= control.MaxOthers {
		return []announcement{with(newcomers)}
	}
	newcomers = slices.Clone(newcomers)
	a.shuffle(n, func(i, j int) { newcomers[i], newcomers[j] = newcomers[j], newcomers[i] })
	twice := append(newcomers, newcomers...)
	notes := make([]announcement, maxSamples)
	for s := range notes {
		from := s * n / maxSamples
		notes[s] = with(twice[from : from+control.MaxOthers])
	}
	return notes
}

func (a *Authority) shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, int(a.Draw(uint64(i+1))))
	}
}
