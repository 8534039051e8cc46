package membership

import "github.com/x/ringdht/internal/control"

// Incarnation numbers are made from the registry's clock, which may be behind that of an
// earlier registry. A sink takes nothing from an incarnation smaller than one that it
// remembers. So a registry counts on from the greatest that its members know of.

// maxIncStep bounds the step from the latest incarnation to the next where the clock is
// behind. It is large enough that two registries do not take the same number, and a small
// part of all numbers.
const maxIncStep = 1 << 30

// noteSeen takes note of the greatest incarnation that a node knows of: those given from
// now on are greater. A number above [control.MaxIncarnation] is ignored: it would use up the
// numbers that are left.
func (a *Authority) noteSeen(r Request) {
	if r.Seen <= control.MaxIncarnation {
		a.lastInc = max(a.lastInc, r.Seen)
	}
}

// nextIncarnation is greater than each incarnation that was given or reported. wall is the
// time of day. A time above [control.MaxIncarnation] is ignored: no node would report an
// incarnation made from it, so the one after it might be smaller and be refused.
func (a *Authority) nextIncarnation(wall uint64) uint64 {
	if wall > a.lastInc && wall <= control.MaxIncarnation {
		return wall
	}
	// The clock is behind, or wrong. The step is random, since another registry may count
	// on from the same number, for a node that this one does not know.
	return a.lastInc + 1 + a.Draw(maxIncStep)
}
