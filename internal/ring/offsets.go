package ring

import "slices"

// Offsets says how many positions clockwise each entry of a table should be. They ascend
// from 1, which makes every route arrive, and the last is less than the number of nodes.
// They are immutable.
//
// A route takes the longest offset that does not overshoot, again and again, as change is
// given in coins, the largest first. So its hops depend on the distance alone.
type Offsets []int

// MaxTable bounds the entries of a table. Each entry costs two nodes memory and a
// goroutine, and beyond a few hundred entries another one brings hardly anything.
const MaxTable = 1024

// Classic returns the offsets 2^i of Chord (Stoica et al. 2001, there by ID). [Entries]
// says how many they are for k.
func Classic(n, k int) Offsets {
	o := make(Offsets, Entries(n, k))
	for i := range o {
		o[i] = 1 << i
	}
	return o
}

// AppendPositions appends the positions of the entries of the node at position self in a
// ring of n nodes.
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

// Histogram counts the nodes of a ring of n by their distance in hops from any node:
// element h is how many are h hops away, and element 0 is the node itself.
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

// MeanHops is the mean over all routes between two of n nodes. With exact tables and even
// traffic, all nodes relay the same: MeanHops - 1 frames for each frame that they send.
func (o Offsets) MeanHops(n int) float64 {
	if n < 2 || len(o) == 0 {
		return 0
	}
	below := make([]int64, len(o))
	o.sums(below, 0)
	return float64(o.sum(below, n)) / float64(n-1)
}

// sum is the sum of the hops to all distances below n. below[i] must be the sum for the
// distances below offset i.
//
// Let n be q whole strides of the longest offset c, and a rest r. Then the sum is q times
// the sum below c, plus one hop for each of the c distances in the second stride, two in
// the third and so on, plus the sum below r with q more hops each.
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

// sums computes below from one offset on.
func (o Offsets) sums(below []int64, from int) {
	for i := from; i < len(o); i++ {
		below[i] = o[:i].sum(below[:i], o[i])
	}
}

// slack is how many positions entry i may be off its offset, in either direction. It is at
// most an eighth of the offset, and a quarter of the distance to the offsets before and
// after it; before the first is the node itself. So entries within their slack are in
// clockwise order: neighbours cannot meet, and no entry can come round to self. The first
// entry has no slack. With offsets of 2^i it is 2^i/8.
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

// LaggingHops bounds the hops of a route in a ring of n nodes, when each entry is anywhere
// within its slack. With offsets of 2^i it is the number of the function [LaggingHops].
//
// Let all distances up to reach take at most h hops, whatever lags. A larger distance takes
// h+1 if the rest after one hop is within reach. The shortest such hop is by the longest
// entry that cannot overshoot, with all its slack, since an entry that can overshoot may do
// so. So the loop looks for the first distance whose rest is too large. The rest grows with
// the distance until a longer entry counts, so each hop takes one look at each entry.
func (o Offsets) LaggingHops(n int) int {
	if n < 2 || len(o) == 0 {
		return 0
	}
	hops, reach := 0, 0
	for reach < n-1 {
		next := n - 1
		for i, c := range o {
			// Entry i is the longest that cannot overshoot for distances of from to to.
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

// Layout is the plan for the tables of a ring while nodes come and go.
type Layout struct {
	Fewest bool // the offsets of [FewestHops], else those of [Classic]
	K      int  // entries that were asked for; 0 for ceil(log2 n)

	Offsets Offsets // in use; nil before the first For
	chosen  int     // the size of the ring that Offsets were chosen for
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
// The offsets with the fewest hops for n nodes may be quite different for n+1. So they
// stay until the ring is an eighth larger or smaller than when they were chosen, or too
// small for the longest. Then all members get new tables. In a ring that only grows that
// is 8k entries a join on average, as much as drift may cost; in a ring of steady size it
// is nothing.
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

// Equal says whether two layouts make the same tables now.
func (l Layout) Equal(m Layout) bool { return slices.Equal(l.Offsets, m.Offsets) }
