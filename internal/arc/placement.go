package arc

import (
	"cmp"
	"iter"
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

// Placement says which life should hold which points. It is consistent hashing: a point belongs to the
// first position at or after it, around the ring. Of two equal positions that of the lower life
// counts. It depends on the members alone, not on their order. The zero value has none.
type Placement struct {
	all []position // sorted
}

type position struct{ at, life uint64 }

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.at, q.at), cmp.Compare(p.life, q.life))
}

// Add adds members. None has been added before. Many at once cost little more than one.
func (p *Placement) Add(members ...Member) {
	var more []position
	for _, m := range members {
		for _, at := range m.Positions {
			more = append(more, position{at, m.Life})
		}
	}
	slices.SortFunc(more, position.compare)
	// From the end on: what moves makes room for what comes between.
	i, to := len(p.all), len(p.all)+len(more)
	p.all = append(p.all, more...)
	for _, x := range slices.Backward(more) {
		at, _ := slices.BinarySearchFunc(p.all[:i], x, position.compare)
		to -= i - at
		copy(p.all[to:], p.all[at:i])
		i, to = at, to-1
		p.all[to] = x
	}
}

// Remove removes a member, if it is there.
func (p *Placement) Remove(life uint64) {
	p.all = slices.DeleteFunc(p.all, func(x position) bool { return x.life == life })
}

// At is the life that should hold a point, or 0 if there are no members.
func (p *Placement) At(point uint64) uint64 {
	if len(p.all) == 0 {
		return 0
	}
	return p.all[p.after(point)%len(p.all)].life
}

// after is the first position at or after a point.
func (p *Placement) after(point uint64) int {
	i, _ := slices.BinarySearchFunc(p.all, point, func(x position, point uint64) int { return cmp.Compare(x.at, point) })
	return i
}

// shares yields what members should hold around the points of an arc, whole. The shares do not
// overlap, and those of the ring are the ring, or nothing if there are no members.
func (p *Placement) shares(a Arc) iter.Seq[Share] {
	return func(yield func(Share) bool) {
		if len(p.all) == 0 {
			return
		}
		i := p.after(a.First)
		next := uint64(0)
		if i > 0 {
			next = p.all[i-1].at + 1
		}
		for ; i < len(p.all) && next <= a.Last; i++ {
			x := p.all[i]
			if i > 0 && x.at == p.all[i-1].at {
				continue
			}
			if !yield(Share{Arc{next, x.at}, x.life}) || x.at == math.MaxUint64 {
				return
			}
			next = x.at + 1
		}
		if i == len(p.all) && next <= a.Last {
			yield(Share{Arc{next, math.MaxUint64}, p.all[0].life})
		}
	}
}

// DefaultPositions is how many positions an owner has, if nothing else was said.
const DefaultPositions = 64

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
