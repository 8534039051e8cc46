package ring

import (
	"math"
	"math/rand/v2"
	"slices"
)

// FewestHops returns the k offsets with the lowest mean hops that a search finds for a ring
// of n nodes. k is cut to n-1 and to [MaxTable]; 0 means ceil(log2 n). The result is the
// same for the same n and k. Its mean is never above that of the classic offsets; its
// longest route may be longer or shorter.
//
// Powers of two keep the longest route short, but are not the best for the mean. Cordasco,
// Gargano, Hammar, Negro and Scarano (F-Chord: Improved Uniform Routing on Chord, 2004) get
// below them with offsets akin to Fibonacci numbers. No formula is known for the best, so
// this is a local search. It goes downhill from offsets of several kinds, the classic ones
// among them, and then again and again from the best so far with a few offsets changed at
// random.
//
// The sum over all distances costs k²/2 small steps, for any n (see [Offsets.sum]). So
// the search takes as long for a million nodes as for a thousand: tens of milliseconds,
// bounded by searchBudget.
func FewestHops(n, k int) Offsets {
	if k <= 0 {
		k = MaxEntries(n)
	}
	k = min(k, n-1, MaxTable)
	if k <= 0 {
		return Offsets{}
	}
	s := &search{n: n, below: make([]int64, k), budget: searchBudget, bestSum: math.MaxInt64}
	s.from(upTo(n, k))
	if k <= MaxEntries(n) {
		s.from(Classic(n, k))
	}
	for _, longest := range []float64{0.3, 0.4, 0.5, 0.6, 0.7} {
		s.from(geometric(n, k, longest))
	}
	for levels := 1; levels <= 6 && levels <= k; levels++ {
		s.from(digits(n, k, levels))
	}
	rng := rand.New(rand.NewPCG(uint64(n), uint64(k)))
	for shakes := 4 * n; k > 1 && k < n-1 && shakes > 0 && s.budget > 0; shakes-- {
		s.from(s.perturbed(rng))
	}
	return s.best
}

// searchBudget bounds a search, and so how long a registry does nothing else. It is in
// nanoseconds of a machine with the costs that [search.sum] assumes. Twice as much finds
// offsets that are better by less than 1 %.
const searchBudget = 40_000_000

// search is a local search for the offsets with the lowest sum of hops.
type search struct {
	n       int
	at      Offsets // the present offsets
	below   []int64 // of at, see [Offsets.sum]
	best    Offsets
	bestSum int64 // the sum of the best
	budget  int   // of the patience
}

// from goes downhill from some offsets, and keeps the result if it is the best so far. It
// moves one offset at a time, in large steps first.
func (s *search) from(start Offsets) {
	s.at = slices.Clone(start)
	low := s.sum(0)
	for better := true; better && s.budget > 0; {
		better = false
		for i := len(s.at) - 1; i > 0 && s.budget > 0; i-- {
			for step := s.widest(i); step > 0 && s.budget > 0; step /= 2 {
				for s.try(i, s.at[i]+step, &low) || s.try(i, s.at[i]-step, &low) {
					better = true
				}
			}
			s.sum(i) // below was that of the last attempt
		}
	}
	if low < s.bestSum {
		s.best, s.bestSum = s.at, low
	}
}

// sum is the sum of hops of the present offsets. Those from i on may have changed.
func (s *search) sum(i int) int64 {
	k := len(s.at)
	s.budget -= (k - i + 1) * (25 + k/2)
	s.at.sums(s.below, i)
	return s.at.sum(s.below, s.n)
}

// widest is the largest step that makes sense for an offset.
func (s *search) widest(i int) int {
	step := 1
	for 2*step < s.room(i)-s.at[i-1] {
		step *= 2
	}
	return step
}

// room is the exclusive upper bound of an offset.
func (s *search) room(i int) int {
	if i+1 < len(s.at) {
		return s.at[i+1]
	}
	return s.n
}

// try moves an offset if that lowers the sum.
func (s *search) try(i, to int, low *int64) bool {
	if to <= s.at[i-1] || to >= s.room(i) {
		return false
	}
	was := s.at[i]
	s.at[i] = to
	if sum := s.sum(i); sum < *low {
		*low = sum
		return true
	}
	s.at[i] = was
	return false
}

// perturbed is the best with one to three offsets drawn anew, on a logarithmic scale.
func (s *search) perturbed(rng *rand.Rand) Offsets {
	o := slices.Clone(s.best)
	for range 1 + rng.IntN(3) {
		i := 1 + rng.IntN(len(o)-1)
		if c := 1 + int(math.Exp(rng.Float64()*math.Log(float64(s.n-1)))); c < s.n && !slices.Contains(o, c) {
			o[i] = c
		}
	}
	slices.Sort(o)
	return o
}

// upTo is the offsets 1 to k, the only ones if k is n-1.
func upTo(n, k int) Offsets { return spread(n, k, func(i int) float64 { return float64(i + 1) }) }

// geometric is offsets that grow by a constant factor, up to a share of the ring.
func geometric(n, k int, longest float64) Offsets {
	last := math.Log(math.Max(1, longest*float64(n)))
	return spread(n, k, func(i int) float64 { return math.Exp(last * float64(i) / float64(max(1, k-1))) })
}

// digits is offsets for distances written with a number of digits in a base b: 1 to b-1,
// the same times b, and so on. A route takes one hop for each digit that is not 0.
func digits(n, k, levels int) Offsets {
	base := math.Pow(float64(n), 1/float64(levels))
	return spread(n, k, func(i int) float64 {
		level := i * levels / k
		first := (level*k + levels - 1) / levels
		count := ((level+1)*k+levels-1)/levels - first
		return math.Pow(base, float64(level)) * (1 + float64(i-first)*(base-1)/float64(count))
	})
}

// spread makes ascending offsets below n from f.
func spread(n, k int, f func(i int) float64) Offsets {
	o := make(Offsets, k)
	for i := range o {
		o[i] = min(int(f(i)), n-k+i)
		if i > 0 {
			o[i] = max(o[i], o[i-1]+1)
		}
	}
	o[0] = 1
	return o
}
