package ring

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// someOffsets draws offsets for a ring of n nodes.
func someOffsets(rng *rand.Rand, n int) Offsets {
	o := Offsets{1}
	for range rng.IntN(12) {
		if c := 1 + rng.IntN(1+rng.IntN(n-1)); !slices.Contains(o, c) {
			o = append(o, c)
		}
	}
	slices.Sort(o)
	return o
}

// The formulas agree with routes that are walked by the rule of the nodes.
func TestHopsOnPaperAreHopsOnTheRing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 2 + rng.IntN(150)
		o := someOffsets(rng, n)
		ids := make([]uint64, n)
		for i := range ids {
			ids[i] = uint64(3 * i)
		}
		tables := make([][]uint64, n)
		for i := range tables {
			for _, p := range o.AppendPositions(nil, n, i) {
				tables[i] = append(tables[i], ids[p])
			}
		}
		r := Audit(Mask(10), ids, tables)
		count := make([]int, r.MaxHops+1)
		total := 0
		for d := range n {
			h := o.Hops(d)
			total += h
			count[h]++
		}
		mean := float64(total) / float64(n-1)
		if r.Unreachable > 0 || math.Abs(r.MeanHops-mean) > 1e-9 || math.Abs(o.MeanHops(n)-mean) > 1e-9 {
			t.Fatalf("%d nodes, %v: mean %.4f by the sum, %.4f by each, %+v", n, o, o.MeanHops(n), mean, r)
		}
		if h := o.Histogram(n); !slices.Equal(h, count) {
			t.Fatalf("%d nodes, %v: %v of each number of hops, walked %v", n, o, h, count)
		}
		// The ring looks the same from every node, so all nodes relay the same.
		if want := total - (n - 1); r.MinRelayed != want || r.MaxRelayed != want {
			t.Fatalf("%d nodes, %v: relayed %d to %d, want %d", n, o, r.MinRelayed, r.MaxRelayed, want)
		}
	}
}

func TestClassicIsPowersOfTwo(t *testing.T) {
	for n := range 300 {
		for k := range 12 {
			o := Classic(n, k)
			if len(o) != Entries(n, k) {
				t.Fatalf("n %d k %d: %v", n, k, o)
			}
			for self := range n {
				if got, want := o.AppendPositions(nil, n, self), AppendPositions(nil, n, self, len(o)); !slices.Equal(got, want) {
					t.Fatalf("n %d k %d: %v, want %v", n, k, got, want)
				}
			}
			for i := range o {
				if o.slack(i) != 1<<i>>3 {
					t.Fatalf("the slack of entry %d is %d", i, o.slack(i))
				}
			}
			if len(o) > 0 && o.Hops(n-1) != Hops(n-1, len(o)) {
				t.Fatalf("n %d k %d: %d hops, want %d", n, k, o.Hops(n-1), Hops(n-1, len(o)))
			}
		}
	}
}

func TestOffsetsOfNobody(t *testing.T) {
	for _, n := range []int{0, 1} {
		o := Layout{Fewest: true, K: 5}.For(n).Offsets
		if len(o) != 0 || o.MeanHops(n) != 0 || o.LaggingHops(n) != 0 || len(o.Histogram(n)) != n {
			t.Errorf("%d nodes: %v", n, o)
		}
	}
}

// Entries within their slack stay in order, apart from each other and from self. Wherever
// they are, no route takes more hops than the bound.
func TestSlackAndItsBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	rounds := 2000
	if testing.Short() || raceEnabled {
		rounds = 300
	}
	for range rounds {
		n := 2 + rng.IntN(1500)
		o := someOffsets(rng, n)
		if rng.IntN(100) == 0 {
			o = FewestHops(n, rng.IntN(30))
		}
		last := 0
		for i, c := range o {
			s := o.slack(i)
			if s < 0 || c < 8 && s > 0 || c-s <= last {
				t.Fatalf("%v: slack %d of entry %d", o, s, i)
			}
			last = c + s
		}
		worst := slices.Max(worstHops(n, o))
		if bound := o.LaggingHops(n); worst > bound {
			t.Fatalf("%d nodes, %v: %d hops at worst, bound %d", n, o, worst, bound)
		} else if exact := len(o.Histogram(n)) - 1; bound < exact {
			t.Fatalf("%d nodes, %v: bound %d, %d hops without lag", n, o, bound, exact)
		}
	}
}

// A layout stays while the ring changes little, always fits into the ring, and depends on
// nothing that another registry would not know.
func TestLayoutStays(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, k := range []int{0, 1, 4, 9, 70} {
		l, n, changes := Layout{Fewest: true, K: k}, 100, 0
		for range 400 {
			was := l
			if l = l.For(n); !l.Equal(was) {
				changes++
				if want := FewestHops(n, k); !slices.Equal(l.Offsets, want) {
					t.Fatalf("n %d k %d: %v, want %v", n, k, l.Offsets, want)
				}
			}
			if l.For(n).chosen != l.chosen {
				t.Fatalf("n %d k %d: a layout changes at once", n, k)
			}
			if len(l.Offsets) == 0 || l.Offsets[0] != 1 || l.Offsets[len(l.Offsets)-1] >= n {
				t.Fatalf("n %d k %d: %v", n, k, l.Offsets)
			}
			if off := n - l.chosen; 8*off > l.chosen || -8*off > l.chosen {
				t.Fatalf("n %d k %d: chosen for %d", n, k, l.chosen)
			}
			n = max(2, n+rng.IntN(3)-1)
		}
		if changes > 40 {
			t.Errorf("k %d: all tables were replaced %d times in 400 steps", k, changes)
		}
	}
	l := Layout{K: 5}.For(1000)
	if m := l.For(1001); &m.Offsets[0] != &l.Offsets[0] {
		t.Error("classic offsets are made anew without need")
	}
	if m := l.For(10); len(m.Offsets) != 4 {
		t.Errorf("classic offsets in a ring of 10: %v", m.Offsets)
	}
}
