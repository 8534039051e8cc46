package arc

import (
	"cmp"
	"math"
	"slices"
)

// Member is a life that holds arcs, or only sends if it has no positions.
type Member struct {
	Life      uint64
	Positions []uint64 // on the ring: several make the shares even, or give it a larger one
}

// Share is an arc and the life that should hold it.
type Share struct {
	Arc
	Life uint64
}

// Placement says which life should hold which points. The shares do not overlap, and together are
// the ring, or nothing if there are no members. It depends on the members alone, not on their order.
type Placement func(members []Member) []Share

// ByPosition is consistent hashing: a point belongs to the first position at or after it, around the
// ring. Of two equal positions that of the lower life counts.
func ByPosition(members []Member) []Share {
	type position struct{ at, life uint64 }
	var all []position
	for _, m := range members {
		for _, p := range m.Positions {
			all = append(all, position{p, m.Life})
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b position) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.life, b.life)) })
	all = slices.CompactFunc(all, func(a, b position) bool { return a.at == b.at })
	var shares []Share
	next := uint64(0)
	for _, p := range all {
		shares = append(shares, Share{Arc{next, p.at}, p.life})
		next = p.at + 1
	}
	if last := all[len(all)-1]; last.at != math.MaxUint64 {
		shares = append(shares, Share{Arc{next, math.MaxUint64}, all[0].life})
	}
	return shares
}

// Positions are n places on the ring for a member: its own, and others that follow from it as if at
// random.
func Positions(at uint64, n int) []uint64 {
	all := []uint64{at}
	for len(all) < n {
		at += 0x9e3779b97f4a7c15 // SplitMix64 (Steele, Lea, Flood 2014)
		z := at
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		all = append(all, z^z>>31)
	}
	return all
}
