package arc

import (
	"math"
	"math/rand/v2"
	"testing"
)

// ranges is compared with a value for each point. The points are few: places around those.
func TestRanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 20))
	points := []uint64{0, 1, 2, 3, 7, 8, 1 << 63, 1<<63 + 1, math.MaxUint64 - 1, math.MaxUint64}
	for range 2000 {
		var r ranges[int]
		want := map[uint64]int{}
		for range 12 {
			a := Arc{points[rng.IntN(len(points))], points[rng.IntN(len(points))]}
			if a.First > a.Last {
				a.First, a.Last = a.Last, a.First
			}
			add, keep := rng.IntN(3), rng.IntN(2)
			r.update(a, func(v int) int { return v*keep + add })
			for _, p := range points {
				if a.Has(p) {
					want[p] = want[p]*keep + add
				}
			}
		}
		for _, p := range points {
			if r.at(p) != want[p] {
				t.Fatalf("%v at %d: %d, want %d", r, p, r.at(p), want[p])
			}
			if arc := r.piece(p); !arc.Has(p) || arc.First > 0 && r.at(arc.First-1) == want[p] || arc.Last < math.MaxUint64 && r.at(arc.Last+1) == want[p] {
				t.Fatalf("%v: the piece at %d is %v", r, p, arc)
			}
		}
		from, last := points[rng.IntN(5)], points[5+rng.IntN(5)]
		next := from
		for arc, v := range r.within(Arc{from, last}) {
			if arc.First != next || r.at(arc.First) != v || r.at(arc.Last) != v {
				t.Fatalf("%v within %d to %d: %v is %d", r, from, last, arc, v)
			}
			next = arc.Last + 1
		}
		if next != last+1 {
			t.Fatalf("%v within %d to %d ends before %d", r, from, last, next)
		}
	}
}

func TestByPosition(t *testing.T) {
	members := []Member{{1, []uint64{10, 30}}, {2, []uint64{20, math.MaxUint64}}, {3, []uint64{20}}}
	want := []Share{{Arc{0, 10}, 1}, {Arc{11, 20}, 2}, {Arc{21, 30}, 1}, {Arc{31, math.MaxUint64}, 2}}
	got := ByPosition(members)
	for i, s := range got {
		if i >= len(want) || s != want[i] {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	if got := ByPosition([]Member{{5, []uint64{7}}}); len(got) != 2 || got[0] != (Share{Arc{0, 7}, 5}) || got[1] != (Share{Arc{8, math.MaxUint64}, 5}) {
		t.Errorf("of one member: %v", got)
	}
	if got := ByPosition(nil); len(got) != 0 {
		t.Errorf("of no member: %v", got)
	}
}

// TestEvenness logs the busiest owner's share against the mean.
func TestEvenness(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 20))
	for _, owners := range []int{10, 100, 1000} {
		for _, n := range []int{1, 16, 64, 256} {
			worst := 0.0
			for range 3 {
				var members []Member
				for life := range owners {
					members = append(members, Member{uint64(life), Positions(rng.Uint64(), n)})
				}
				share := map[uint64]float64{}
				for _, s := range ByPosition(members) {
					share[s.Life] += float64(s.Last-s.First) / math.MaxUint64 * float64(owners)
				}
				most := 0.0
				for _, v := range share {
					most = max(most, v)
				}
				worst += most / 3
			}
			t.Logf("%d owners, %d positions each: the busiest has %.2f of the mean", owners, n, worst)
			if n == 256 && worst > 1.5 {
				t.Errorf("%d owners, %d positions each: the busiest has %.2f of the mean", owners, n, worst)
			}
		}
	}
}
