package membership

import (
	"fmt"

	"github.com/x/ringdht/internal/ring"
)

// A name is held by one member at a time, from its admission until it has left or is dead. So a
// suspect holds it, and a member that comes back has it still.
//
// Each holder has a later incarnation than the one before, so a program can take the incarnation of a
// holder as a fencing token. A registry that takes the place of another rebuilds the names from the
// members that come back. Two of them may have one name, if an earlier registry gave it out while the
// first was away for longer than a grace. As with IDs, the later incarnation keeps it, and the other
// one ends; but a newcomer without a table loses it, which does it no harm.

// Named finds the member that holds a name and was announced.
func (a *Authority) Named(name string) (ring.Member, *ring.Info, bool) {
	m := a.byName[name]
	if m == nil || !m.announced || m.unlisting {
		return ring.Member{}, nil, false
	}
	return m.Member, m.info, true
}

// Info is what a member says of itself, nil if nothing.
func (a *Authority) Info(ref ring.Ref) *ring.Info {
	if m := a.find(ref); m != nil {
		return m.info
	}
	return nil
}

// checkName refuses a newcomer whose name another member holds. If that one may be gone in a moment,
// the newcomer waits.
func (a *Authority) checkName(r Request) error {
	holder := a.namesake(r)
	switch {
	case holder == nil:
		return nil
	case holder.suspicion != nil:
		return waitError(fmt.Sprintf("node %d, which has the name %q, is suspect", holder.ID, r.Info.Name))
	}
	return nameTaken(fmt.Sprintf("node %d (%s) has the name %q, until it leaves or is declared dead", holder.ID, holder.Addr, r.Info.Name))
}

// namesake finds another incarnation that holds the name of a request.
func (a *Authority) namesake(r Request) *member {
	name := r.Info.NameOf()
	if m := a.byName[name]; name != "" && m != nil && m.Ref() != r.Ref() {
		return m
	}
	return nil
}

// outlives says that of two that claim one ID, or one name, the present holder keeps it.
func outlives(holder *member, r Request) bool {
	return holder.status != waiting && holder.Incarnation > r.Incarnation
}

// nameTaken is an [ErrNameTaken] that says by which member.
type nameTaken string

func (e nameTaken) Error() string      { return string(e) }
func (nameTaken) Is(target error) bool { return target == ErrNameTaken }

// nameLost is an [ErrEvicted]: an earlier registry has given the name of the incarnation to another one.
type nameLost string

func (e nameLost) Error() string      { return string(e) }
func (nameLost) Is(target error) bool { return target == ErrEvicted }
