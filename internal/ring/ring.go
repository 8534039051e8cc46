package ring

import "math/bits"

// MaxBits is the widest ID space.
const MaxBits = 64

// Mask is the largest ID of a space of 2^b IDs, for b from 1 to 64. The difference of two
// IDs, masked, is the clockwise distance.
func Mask(b int) uint64 { return ^uint64(0) >> (64 - uint(b)) }

// Distance is the clockwise distance from one ID to another.
func Distance[T ~uint64](mask uint64, from, to T) uint64 { return uint64(to-from) & mask }

// ClosestPreceding returns the index of the entry with the greatest clockwise
// distance from self that does not exceed the distance from self to dst, or -1 if there
// is none. Entries must be in clockwise order from self.
//
// It is Chord's closest_preceding_finger (Stoica et al. 2001, figure 5) with a closed end:
// the interval is (self, dst], so an entry that is the sink itself is found. Chord's open
// interval would stop before it.
//
// It is a binary search, because in a full mesh each table has all members.
func ClosestPreceding[T ~uint64](mask uint64, self, dst T, entries []T) int {
	d := uint64(dst-self) & mask
	lo, n := 0, len(entries)
	// Entries [0, lo) are within d; those from lo+n on overshoot.
	for n > 0 {
		half := (n + 1) >> 1
		if uint64(entries[lo+half-1]-self)&mask <= d {
			lo += half
			n -= half
		} else {
			n = half - 1
		}
	}
	return lo - 1
}

// MaxEntries is the size of the largest useful table by powers of two in a ring of n nodes.
// It is how many powers are below n, ceil(log2 n). With that many entries no route is
// longer than log2 n; one more would repeat an entry or name self.
func MaxEntries(n int) int {
	if n < 2 {
		return 0
	}
	return bits.Len(uint(n - 1))
}

// Entries cuts k to [MaxEntries] of a ring of n nodes. k <= 0 means as many as that.
func Entries(n, k int) int {
	limit := MaxEntries(n)
	if k <= 0 || k > limit {
		return limit
	}
	return k
}

// AppendPositions appends the positions of the entries of the node at position self in a
// ring of n nodes, by powers of two: entry i is 2^i positions clockwise. It goes by position
// and not by ID (Schütt et al. 2008, Chord#), so that the hops do not depend on where the
// IDs fell. k must be at most what [Entries] allows.
func AppendPositions(dst []int, n, self, k int) []int {
	for i := range k {
		dst = append(dst, (self+1<<i)%n)
	}
	return dst
}

// Hops is the number of hops to the node d positions clockwise, with tables of k entries
// that are 2^i positions ahead.
func Hops(d, k int) int {
	if d == 0 || k == 0 {
		return 0
	}
	stride := 1 << (k - 1)
	return d/stride + bits.OnesCount(uint(d%stride))
}
