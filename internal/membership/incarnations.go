package membership

import "github.com/x/ringdht/internal/control"

// Lives are made from the registry's clock, which may be behind that of an earlier
// registry. A sink takes nothing from a life that is smaller than one that it remembers, so
// a registry counts on from the greatest life that its members have met.

// maxStep bounds by how much the next life is greater than the latest where the clock is
// behind: enough that no two registries take the same, and little of what there is.
const maxIncStep = 1 << 30

// seen takes note of the greatest life that a node knows of: those that are given from now
// on are greater. One that is beyond all sense is none: it would use up the lives there are.
func (a *Authority) noteSeen(r Request) {
	if r.Seen <= control.MaxLife {
		a.lastInc = max(a.lastInc, r.Seen)
	}
}

// nextLife is a life that is greater than each that was given or met. wall is the time of
// day. One that is beyond all sense is not gone by either: lives made from it would be met by
// nobody, and the next after them would be refused.
func (a *Authority) nextIncarnation(wall uint64) uint64 {
	if wall > a.lastInc && wall <= control.MaxLife {
		return wall
	}
	// The clock is behind, or wrong. Another registry may have counted on from the same life, for a
	// node that this one has not heard of.
	return a.lastInc + 1 + a.Draw(maxIncStep)
}
