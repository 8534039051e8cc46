package membership

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// A member keeps its life when its address changes: its machine is in another network, or
// reaches the registry another way. It proves that it is the same by its token, and that
// it is where it says by answering there with that token, to a dial of the caller's.
//
// An address belongs to the member that was found there last. If that was another's, the
// other is astray: it is not dead, but nothing that happens at the address says anything
// about it any more. It lives by its connection, and when that has ended it has its time
// to come back, with an address of its own.

// settle gives a member that comes back the address that it names, and takes that from the
// member that had it.
func (a *Authority) moveTo(m *member, r Request) (was string, err error) {
	if id, taken := a.roster.HolderOf(r.Addr); taken && id == m.ID {
		return "", nil
	}
	if err := a.freeAddress(r); err != nil {
		return "", err
	}
	was = m.Addr
	a.roster.Move(m.ID, r.Addr)
	m.Addr, m.displaced = r.Addr, false
	if m.status == active {
		a.moved[m.ref()] = struct{}{}
	}
	return was, nil
}

// vacate frees an address for a life that was found there.
func (a *Authority) freeAddress(r Request) error {
	if !r.There {
		return ErrElsewhere
	}
	if id, taken := a.roster.HolderOf(r.Addr); taken {
		a.byID[id].displaced = true
		a.roster.Yield(r.Addr)
	}
	return nil
}

// Known says that a member has this token.
func (a *Authority) Known(token uint64) bool { return a.byToken[token] != nil }

// readdress tells the new address of a member that has moved to the members that dial it.
// One that is told everything hears of it anyway.
func (a *Authority) planMoves(tables []ring.Member, told map[uint64]*control.Update) {
	for _, ref := range slices.SortedFunc(maps.Keys(a.moved), func(x, y ring.Ref) int { return cmp.Compare(x.ID, y.ID) }) {
		m := a.find(ref)
		if m == nil {
			continue
		}
		a.plans.Naming(m.ID, func(at int, entries []int, successor bool) {
			to := a.byID[tables[at].ID]
			if to.needsManifest {
				return
			}
			u := a.updateFor(told, to.ID)
			for _, e := range entries {
				if !slices.ContainsFunc(u.Slots, func(s control.Slot) bool { return s.At == int64(e) }) {
					u.Slots = append(u.Slots, control.Slot{At: int64(e), ID: m.ID, Life: m.Life, Addr: m.Addr})
				}
			}
			if successor && !u.NewSuccessors {
				view, _ := a.plans.View(to.ID)
				u.NewSuccessors, u.Successors = true, a.peers(view.Successors)
			}
		})
	}
	clear(a.moved)
}

func movedFrom(was string) string {
	if was == "" {
		return ""
	}
	return fmt.Sprintf("its address was %s before", was)
}
