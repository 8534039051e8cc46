package membership

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// A member keeps its incarnation when its address changes, because its machine is in
// another network or reaches the registry another way. Its token proves that it is the
// same member. It proves the new address by answering there, with that token, when the
// caller dials it.
//
// An address belongs to the member that was found there last. A member that held it before
// is displaced. It is not dead, but a probe of the address says nothing about it any more.
// It lives by its connection. When that ends it has its timeout to come back, with an
// address of its own.

// moveTo gives a member that comes back the address that it names, and takes it from the
// member that held it.
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
		a.moved[m.Ref()] = struct{}{}
	}
	return was, nil
}

// freeAddress frees an address for a member that was found there.
func (a *Authority) freeAddress(r Request) error {
	if !r.Verified {
		return ErrElsewhere
	}
	if id, taken := a.roster.HolderOf(r.Addr); taken {
		a.byID[id].displaced = true
		a.roster.Yield(r.Addr)
	}
	return nil
}

// Tokens lists the tokens of the members, in no order.
func (a *Authority) Tokens() []uint64 { return slices.Collect(maps.Keys(a.byToken)) }

// planMoves adds the new addresses of members that have moved to what is told to the
// members that dial them. A manifest has the new addresses anyway.
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
					u.Slots = append(u.Slots, slot(e, m))
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
