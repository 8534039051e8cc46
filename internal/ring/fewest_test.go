package ring

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// all yields every possible list of k offsets in a ring of n nodes.
func all(n, k int, yield func(Offsets)) {
	o := Offsets{1}
	var more func()
	more = func() {
		if len(o) == k {
			yield(o)
			return
		}
		for c := o[len(o)-1] + 1; c < n; c++ {
			o = append(o, c)
			more()
			o = o[:len(o)-1]
		}
	}
	more()
}

// In small rings, where all offsets can be tried, the search finds the best.
func TestFewestHopsAgainstAllOffsets(t *testing.T) {
	for k := 1; k <= 8; k++ {
		for n := k + 1; n <= []int{0, 200, 200, 100, 64, 40, 32, 28, 24}[k]; n++ {
			if (testing.Short() || raceEnabled) && n > 20 {
				continue
			}
			low := math.Inf(1)
			all(n, k, func(o Offsets) { low = min(low, o.MeanHops(n)) })
			if o := FewestHops(n, k); o.MeanHops(n) > low {
				t.Errorf("n %d k %d: %v with mean %.4f, the best have %.4f", n, k, o, o.MeanHops(n), low)
			}
		}
	}
}

func TestFewestHops(t *testing.T) {
	for _, c := range []struct {
		n, k int
		mean float64 // known to be reachable
	}{{1000, 10, 4.38}, {1000, 15, 3.6}, {1000, 20, 3.18}, {10, 4, 1.556}, {10_000, 14, 5.66}, {1_000_000, 20, 8.75}, {1_000_000, 64, 5.2}, {1_000_000, 1000, 3}, {1000, 400, 1.6}} {
		if raceEnabled && c.n > 10_000 {
			continue
		}
		start := time.Now()
		o := FewestHops(c.n, c.k)
		took := time.Since(start)
		if len(o) != c.k || o.MeanHops(c.n) > c.mean {
			t.Errorf("n %d k %d: %v with mean %.4f, want %.4f", c.n, c.k, o, o.MeanHops(c.n), c.mean)
		}
		if !slices.Equal(o, FewestHops(c.n, c.k)) {
			t.Errorf("n %d k %d: a second search finds others", c.n, c.k)
		}
		t.Logf("n %d k %d: mean %.4f after %v: %v", c.n, c.k, o.MeanHops(c.n), took, o)
	}
}

// Fibonacci numbers, which grow by 1.6 instead of 2, take 4.01 hops among 1,000 nodes. As
// many offsets from the search take fewer.
func TestFewestHopsAgainstFibonacci(t *testing.T) {
	o := Offsets{1, 2}
	for n := len(o); o[n-1]+o[n-2] < 1000; n++ {
		o = append(o, o[n-1]+o[n-2])
	}
	fibonacci, best := o.MeanHops(1000), FewestHops(1000, len(o)).MeanHops(1000)
	if len(o) != 15 || math.Abs(fibonacci-4.01) > 0.005 || best > 0.9*fibonacci {
		t.Errorf("%v: mean %.4f, best %.4f", o, fibonacci, best)
	}
}

func TestFewestHopsAreNeverMoreThanClassic(t *testing.T) {
	sizes := []int{10_000, 1 << 17, 1_000_000}
	for n := 2; n <= 600; n += 1 + n/3 {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		if (testing.Short() || raceEnabled) && n > 200 {
			continue
		}
		for _, k := range []int{0, 1, 3, 5, 8, 21, 100, 2000} {
			c, o := Classic(n, k), FewestHops(n, k)
			if k > 0 && len(o) != min(k, n-1, MaxTable) || k == 0 && len(o) != len(c) || len(o) < len(c) {
				t.Fatalf("n %d k %d: %d entries", n, k, len(o))
			}
			if o[0] != 1 || o[len(o)-1] >= n || !slices.IsSorted(o) || len(slices.Compact(slices.Clone(o))) != len(o) {
				t.Fatalf("n %d k %d: %v", n, k, o)
			}
			if o.MeanHops(n) > c.MeanHops(n) {
				t.Errorf("n %d k %d: %v with mean %.4f, classic %.4f", n, k, o, o.MeanHops(n), c.MeanHops(n))
			}
		}
	}
}

// While the ring changes by less than an eighth, the offsets chosen before are nearly as
// good as the best, and better than classic ones.
func TestFewestHopsLast(t *testing.T) {
	for _, n := range []int{64, 100, 1000, 1024, 10_000} {
		l := Layout{Fewest: true}.For(n)
		for _, now := range []int{n - n/8, n + n/8} {
			if !l.For(now).Equal(l) {
				t.Logf("n %d: too small for %v", now, l.Offsets)
				continue
			}
			mean, best, classic := l.Offsets.MeanHops(now), FewestHops(now, len(l.Offsets)).MeanHops(now), Classic(now, 0).MeanHops(now)
			if mean > classic || mean > 1.05*best {
				t.Errorf("chosen for %d, used with %d: mean %.4f, best %.4f, classic %.4f", n, now, mean, best, classic)
			}
		}
	}
}

func BenchmarkFewestHops(b *testing.B) {
	for _, c := range []struct{ n, k int }{{10, 4}, {100, 7}, {1000, 10}, {10_000, 14}, {10_000, 64}, {1_000_000, 20}, {1_000_000, 64}} {
		b.Run(fmt.Sprintf("nodes=%d/k=%d", c.n, c.k), func(b *testing.B) {
			for b.Loop() {
				FewestHops(c.n, c.k)
			}
		})
	}
}
