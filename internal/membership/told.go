package membership

import (
	"cmp"
	"fmt"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// A node counts on from what its registry tells it, and reports that to the next registry. So it
// takes no number that leaves no room, no ID beyond its ID space, and no list that is longer than a
// registry makes it. A message that breaks such a rule ends the connection to the registry.

const (
	// maxToldEpoch is the greatest epoch that a registry takes from a member, too.
	maxToldEpoch = 1 << 62
	// maxLinks bounds the lists of peers to link to. A node holds links for others' detours,
	// besides those of its table.
	maxLinks = 4 * ring.MaxTable
	// maxTold is the greatest incarnation that a node takes: well above those that a registry
	// believes, since it counts on from them.
	maxTold = control.MaxIncarnation + 1<<60
)

const _ = ring.MaxListed - maxTold // does not compile if a list has no room for them

// checkManifest says what is wrong with the lists and numbers of a manifest.
func (l *NodeView) checkManifest(m *control.Manifest) error {
	switch {
	case m.Size < 0:
		return fmt.Errorf("a ring set up with %d entries", m.Size)
	case len(m.Others) > control.MaxOthers, len(m.Idle) > control.MaxOthers, len(m.Incs) > control.MaxOthers:
		return fmt.Errorf("a list of %d members, %d idle ones and %d incarnations, the most is %d", len(m.Others), len(m.Idle), len(m.Incs), control.MaxOthers)
	case m.Incarnation > maxTold:
		return fmt.Errorf("incarnation %d was admitted, and no registry counts that far", m.Incarnation)
	}
	if err := countable(m.Incs); err != nil {
		return err
	}
	return cmp.Or(manifestListing(m).check(), l.inSpace(m.Others, m.Idle, m.Leaving))
}

// CheckAnnounce says what is wrong with an announcement.
func (l *NodeView) CheckAnnounce(a *control.Announce) error {
	if a.Epoch > maxToldEpoch {
		return errEpoch(a.Epoch)
	}
	if len(a.Added) > control.MaxOthers || len(a.Idle) > control.MaxOthers || len(a.Incarnations) > control.MaxOthers {
		return fmt.Errorf("%d newcomers, %d idle ones and %d incarnations, the most is %d", len(a.Added), len(a.Idle), len(a.Incarnations), control.MaxOthers)
	}
	if err := countable(a.Incarnations); err != nil {
		return err
	}
	if err := l.refsInSpace(a.Left, a.Gone, a.Leaving); err != nil {
		return err
	}
	return cmp.Or(announceListing(a).check(), l.inSpace(a.Added, a.Idle))
}

func countable(incs []uint64) error {
	for _, inc := range incs {
		if inc > maxTold {
			return fmt.Errorf("a member of incarnation %d, and no registry counts that far", inc)
		}
	}
	return nil
}

// checkLinks says what is wrong with the lists of peers and their IDs.
func (l *NodeView) checkLinks() error {
	if len(l.Entries) > ring.MaxTable || len(l.Successors) > ring.MaxTable || len(l.Hold) > maxLinks || len(l.Detours) > maxLinks {
		return fmt.Errorf("a table of %d entries, %d successors, %d detours and %d links to hold is too large", len(l.Entries), len(l.Successors), len(l.Detours), len(l.Hold))
	}
	for _, p := range l.Hold {
		if p.ID > ring.Mask(l.Bits) || p.ID == l.Self.ID {
			return fmt.Errorf("node %d is to hold a link to %d", l.Self.ID, p.ID)
		}
	}
	return nil
}

func (l *NodeView) inSpace(lists ...[]uint64) error {
	mask := ring.Mask(l.Bits)
	for _, list := range lists {
		for _, id := range list {
			if id > mask {
				return errSpace(id, l.Bits)
			}
		}
	}
	return nil
}

func (l *NodeView) refsInSpace(lists ...[]ring.Ref) error {
	mask := ring.Mask(l.Bits)
	for _, list := range lists {
		for _, ref := range list {
			if ref.ID > mask {
				return errSpace(ref.ID, l.Bits)
			}
		}
	}
	return nil
}

func errSpace(id uint64, bits int) error {
	return fmt.Errorf("node %d cannot be in a ring with IDs of %d bits", id, bits)
}

func errEpoch(epoch uint64) error {
	return fmt.Errorf("epoch %d, and no registry counts that far", epoch)
}
