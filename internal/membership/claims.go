package membership

import (
	"fmt"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// A registry that recovers counts on from the numbers that its members know. A member may lie. So a
// number that no registry can have counted to ends the incarnation that claims it, and is not
// adopted. The member may join again. There stays room above the numbers that are adopted, so a
// registry counts on from them for ever.

const (
	// maxEpoch and maxIncarnation bound the claims of a member that comes back.
	maxEpoch       = 1 << 62
	maxIncarnation = control.MaxIncarnation + 1<<60
	// maxCounted is more epochs than a registry counts in its life: a thousand a second for 35
	// years.
	maxCounted = 1 << 40
	// maxKnownDead bounds the incarnations of which a recovering registry knows that they are over.
	maxKnownDead = 1 << 16
	// maxUngranted is the pace that a member may have by its own word alone: until it has answered a
	// ping, and heard of this registry's pace.
	maxUngranted = 2
)

// overclaim is an [ErrEvicted]: an incarnation claims a number that no registry counts to.
type overclaim string

func (e overclaim) Error() string      { return string(e) }
func (overclaim) Is(target error) bool { return target == ErrEvicted }

// Overclaims is the error of an incarnation that claims a number that no registry counts to.
func Overclaims(what string, n uint64) error {
	return overclaim(fmt.Sprintf("it claims to know %s %d, and no registry counts that far", what, n))
}

// checkClaims refuses a member that claims numbers that no registry counts to.
func checkClaims(r Request) error {
	switch {
	case r.Epoch > maxEpoch:
		return Overclaims("epoch", r.Epoch)
	case r.Incarnation > maxIncarnation:
		return Overclaims("incarnation", r.Incarnation)
	case r.ListEpoch > maxEpoch:
		return Overclaims("list epoch", r.ListEpoch)
	case r.Recovery > maxEpoch:
		return Overclaims("recovery", r.Recovery)
	}
	return nil
}

// endOverclaims ends, after a recovery, the members that know a much later epoch than most do: no
// registry counted so far between the two. So one member that lies cannot use up the epochs, or
// choose the layout. Rejected: a bound for each claim by itself, which a liar would exhaust, and an
// honest member exceed by the next plan.
func (a *Authority) endOverclaims(now Time) {
	var epochs []uint64
	for _, m := range a.byID {
		if m.resumedEpoch > 0 {
			epochs = append(epochs, m.resumedEpoch)
		}
	}
	kept := uint64(0)
	if a.Kept != nil {
		kept = a.Kept.Epoch
	}
	most := kept + maxCounted
	if n := len(epochs); n > 0 {
		slices.Sort(epochs)
		most = epochs[(n-1)/2] + maxCounted
	}
	if a.epoch <= most { // the greatest claim, also of members that are dead by now
		return
	}
	a.epoch, a.newestEpoch = kept, 0
	for _, m := range a.sortedMembers() {
		switch {
		case m.resumedEpoch > most:
			a.markDead(now, m, Overclaims("epoch", m.resumedEpoch).Error())
		case m.resumedEpoch > 0 && m.resumedEpoch >= a.newestEpoch && !a.layoutSet:
			a.newestEpoch, a.layout = m.resumedEpoch, m.resumedLayout
			fallthrough
		default:
			a.epoch = max(a.epoch, m.resumedEpoch)
		}
	}
}

// layout is that of the tables of the ring that a member comes back from.
func (r Request) layout() ring.Layout {
	return ring.Layout{Fewest: r.Plan == control.FewestHops, K: r.Size}
}

// noteOver remembers that an incarnation is over, by the word of an epoch. It reports false if there
// is no room.
func (a *Authority) noteOver(ref ring.Ref, epoch uint64) bool {
	before, known := a.knownDead[ref]
	if !known && len(a.knownDead) >= maxKnownDead {
		if !a.overFull {
			a.overFull = true
			a.emit(Effect{Kind: OverFull})
		}
		return false
	}
	a.knownDead[ref] = max(before, epoch)
	a.lastDead[ref.ID] = max(a.lastDead[ref.ID], ref.Incarnation)
	return true
}

// isOver reports whether an incarnation that was told of an epoch is over, by the word of a later one:
// it, or a later incarnation of its ID. Nodes that hear of such an end take nothing from either, so to
// take one back would split the ring for ever.
func (a *Authority) isOver(r Request) bool {
	last := a.lastDead[r.ID]
	return r.Epoch < a.knownDead[r.Ref()] || r.Incarnation < last && r.Epoch < a.knownDead[ring.Ref{ID: r.ID, Incarnation: last}]
}

// ungranted is the pace of a member that comes back to a new registry, by what it claims.
func (a *Authority) ungranted(claim int) int {
	return min(max(0, claim), max(maxUngranted, a.attestedPace()))
}

// attestedPace is the slowest pace that enough members claim which are back from an earlier ring: one
// less than the pace. A ring that needs a slow pace has thousands of members. So one that lies delays
// the end of the recovery by a third of a lease.
func (a *Authority) attestedPace() int {
	claims := 0
	for pace := MaxPace; pace > 1; pace-- {
		if claims += a.paces[pace]; claims >= pace-1 {
			return pace
		}
	}
	return 1
}
