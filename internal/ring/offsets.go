package ring

import "slices"

// Offsets is a plan for the tables of a ring: how many positions clockwise each
// entry is meant to be. They ascend from 1, which is what arriving depends on, and
// the last is less than the number of nodes. They are not changed once made.
//
// A route takes the longest offset that does not overshoot, again and again, so its
// hops depend on the distance alone: it is change given in coins, the largest first.
type Offsets []int

// MaxTable is the largest table that any plan hands out. Each entry costs two nodes
// memory and a goroutine, and beyond a few hundred hardly brings anything.
const MaxTable = 1024

// Classic returns the offsets 2^i, as Chord has them (Stoica et al. 2001, there by
// ID), as many as [Entries] makes of k.
func Classic(n, k int) Offsets {
	o := make(Offsets, Entries(n, k))
	for i := range o {
		o[i] = 1 << i
	}
	return o
}

// AppendPositions appends the positions of the entries of the node at position self
// in a ring of n nodes.
func (o Offsets) AppendPositions(dst []int, n, self int) []int {
	for _, c := range o {
		dst = append(dst, wrap(n, self+c))
	}
	return dst
}

// Hops is the number of links on the route to the node d positions clockwise.
func (o Offsets) Hops(d int) int {
	hops := 0
	for i := len(o) - 1; i >= 0; i-- {
		hops += d / o[i]
		d %= o[i]
	}
	return hops
}

// Histogram says of how many sinks each number of hops leads to, in a ring of n
// nodes, seen from any: element h is for h hops, and element 0 for oneself.
func (o Offsets) Histogram(n int) []int {
	if n < 1 || n > 1 && len(o) == 0 {
		return nil
	}
	hops := make([]int32, n)
	count := []int{1}
	i := 0
	for d := 1; d < n; d++ {
		for i+1 < len(o) && o[i+1] <= d {
			i++
		}
		h := hops[d-o[i]] + 1
		hops[d] = h
		if int(h) == len(count) {
			count = append(count, 0)
		}
		count[h]++
	}
	return count
}

// MeanHops is the mean over all routes between two of n nodes. Without the lag of
// tables everybody relays as much, so each carries MeanHops - 1 frames for others
// with every frame that it sends, if sources and sinks are all alike.
func (o Offsets) MeanHops(n int) float64 {
	if n < 2 || len(o) == 0 {
		return 0
	}
	below := make([]int64, len(o))
	o.sums(below, 0)
	return float64(o.sum(below, n)) / float64(n-1)
}

// sum is the sum of the hops to all distances below n. below[i] must be the sum for
// those below offset i.
//
// With q whole strides of the longest offset c in n, and r left over, it is q times
// the sum below c, and one hop for each of c distances in the second stride, two in
// the third; and the sum below r, with q hops more each.
func (o Offsets) sum(below []int64, n int) int64 {
	sum := int64(0)
	for i := len(o) - 1; i >= 0; i-- {
		c := o[i]
		if n <= c {
			continue
		}
		q := n / c
		n -= q * c
		sum += int64(q)*below[i] + int64(q)*int64(q-1)/2*int64(c) + int64(q)*int64(n)
	}
	return sum
}

// sums puts below right from one offset on.
func (o Offsets) sums(below []int64, from int) {
	for i := from; i < len(o); i++ {
		below[i] = o[:i].sum(below[:i], o[i])
	}
}

// slack is how many positions entry i may be off its offset, in either direction: an
// eighth of it, and a quarter of what is between it and its neighbours, of which the
// first one's is the node itself. So neighbours cannot meet, nor can an entry come
// round to self: whatever is within its slack is in clockwise order. The first never
// has any. With offsets of 2^i it is 2^i/8.
func (o Offsets) slack(i int) int {
	before := 0
	if i > 0 {
		before = o[i-1]
	}
	most := min(o[i]/8, (o[i]-before)/4)
	if i+1 < len(o) {
		most = min(most, (o[i+1]-o[i])/4)
	}
	return most
}

// LaggingHops bounds the links on a route in a ring of n nodes when each entry is
// anywhere within its slack. With offsets of 2^i it is what [LaggingHops] says.
//
// Let all distances up to reach take at most h hops, whatever lags. A distance beyond
// takes h+1 if what is left after a hop is within reach; and the shortest hop is by
// the longest entry that cannot overshoot, as short as its slack allows, since an
// entry that can overshoot may do so. So it looks for the first distance of which too
// much is left; what is left grows with the distance until a longer entry comes in,
// so there is little to look at.
func (o Offsets) LaggingHops(n int) int {
	if n < 2 || len(o) == 0 {
		return 0
	}
	hops, reach := 0, 0
	for reach < n-1 {
		next := n - 1
		for i, c := range o {
			// From here on entry i cannot overshoot, and up to there it is the longest
			// of which that is so.
			shortest := c - o.slack(i)
			from, to := c+o.slack(i), n-1
			if i+1 < len(o) {
				to = o[i+1] + o.slack(i+1) - 1
			}
			if first := max(from, reach+shortest+1); first <= to {
				next = min(next, first-1)
				break
			}
		}
		hops, reach = hops+1, next
	}
	return hops
}

// Layout is how the tables of a ring are laid out while nodes come and go.
type Layout struct {
	Fewest bool // the offsets of [FewestHops], else those of [Classic]
	K      int  // entries that were asked for; 0 for ceil(log2 n)

	Offsets Offsets // those in use; nil before the first For
	chosen  int     // for a ring of so many nodes
}

// PlanName is the name of a plan: "classic" or "fewest hops".
func PlanName(fewest bool) string {
	if fewest {
		return "fewest hops"
	}
	return "classic"
}

// For returns the layout for a ring that has n nodes now.
//
// Offsets that need the fewest hops for n nodes may be quite other ones for n+1, so
// they stay as they are until the ring is an eighth larger or smaller than it was
// when they were chosen, or too small for the longest: then everybody gets another
// table. In a ring that only grows that makes 8k entries a join, on average, which is
// what drift may cost as well; and in one that stays about as large, nothing.
func (l Layout) For(n int) Layout {
	switch {
	case !l.Fewest:
		if len(l.Offsets) != Entries(n, l.K) {
			l.Offsets = Classic(n, l.K)
		}
	case l.Offsets == nil || 8*max(n-l.chosen, l.chosen-n) > l.chosen || len(l.Offsets) > 0 && l.Offsets[len(l.Offsets)-1] >= n:
		l.Offsets, l.chosen = FewestHops(n, l.K), n
	}
	return l
}

// Equal says whether two layouts lead to the same tables now.
func (l Layout) Equal(m Layout) bool { return slices.Equal(l.Offsets, m.Offsets) }
