package arc

import (
	"math"
	"math/rand/v2"
	"slices"
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

// Many pieces, in chunks, are compared with a list of all points.
func TestChunks(t *testing.T) {
	defer func(size int) { chunkSize = size }(chunkSize)
	rng := rand.New(rand.NewPCG(2, 20))
	for _, size := range []int{1, 2, 3, 8, 256} {
		chunkSize = size
		const points = 3000
		var r ranges[int]
		var want [points]int
		for i := range 6000 {
			a := Arc{rng.Uint64N(points), 0}
			a.Last = min(a.First+rng.Uint64N(1+rng.Uint64N(1+rng.Uint64N(points))), points-1)
			add, keep := rng.IntN(3), rng.IntN(2)
			r.update(a, func(v int) int { return v*keep + add })
			for p := a.First; p <= a.Last; p++ {
				want[p] = want[p]*keep + add
			}
			if i%100 != 0 {
				continue
			}
			n, next := 0, uint64(0)
			for arc, v := range r.walk(Ring) {
				if arc.First != next || arc.Last >= points && v != 0 || n > 0 && v == r.at(arc.First-1) {
					t.Fatalf("chunks of %d: %v is %d, after %d", size, arc, v, next)
				}
				for p := arc.First; p <= arc.Last && p < points; p++ {
					if v != want[p] || r.at(p) != v || r.piece(p) != arc {
						t.Fatalf("chunks of %d: %d is %d, in a piece with %d, want %d", size, p, r.at(p), v, want[p])
					}
				}
				n++
				next = arc.Last + 1
			}
			if n != r.size() || next != 0 || len(r.chunks) > 2+4*n/size {
				t.Fatalf("chunks of %d: %d pieces in %d chunks, said to be %d", size, n, len(r.chunks), r.size())
			}
		}
		if r.set(Ring, 0); !r.zero() || r.size() != 1 {
			t.Errorf("chunks of %d: %d pieces, all zero", size, r.size())
		}
	}
}

// A placement that members join and leave is compared with all positions.
func TestPlacement(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 20))
	var p Placement
	var members []Member
	for range 3000 {
		if n := len(members); n > 0 && rng.IntN(3) > 0 {
			i := rng.IntN(n)
			p.Remove(members[i].Life)
			members = slices.Delete(members, i, i+1)
		} else {
			had := len(members)
			for range 1 + rng.IntN(3) { // at once
				m := Member{Life: 1 + rng.Uint64N(1000)}
				if slices.ContainsFunc(members, func(o Member) bool { return o.Life == m.Life }) {
					continue
				}
				for range rng.IntN(5) {
					m.Positions = append(m.Positions, rng.Uint64N(30)*(math.MaxUint64/29))
				}
				members = append(members, m)
			}
			p.Add(members[had:]...)
		}
		point := rng.Uint64N(60) * (math.MaxUint64 / 59)
		want, found := position{}, false
		for _, m := range members {
			for _, at := range m.Positions {
				if x := (position{at - point, m.Life}); !found || x.compare(want) < 0 {
					want, found = x, true
				}
			}
		}
		if got := p.At(point); got != want.life {
			t.Fatalf("%x belongs to %d, want %d: %v", point, got, want.life, p.all)
		}
		next := uint64(0)
		for s := range p.shares(Ring) {
			if s.First != next || s.Life != p.At(s.First) || s.Life != p.At(s.Last) {
				t.Fatalf("%v: %v", s, p.all)
			}
			next = s.Last + 1
		}
		if next != 0 {
			t.Fatalf("the shares end at %x: %v", next, p.all)
		}
		for s := range p.shares(Arc{point, point}) {
			if !s.Has(point) || s.Life != want.life {
				t.Fatalf("%x is in %v: %v", point, s, p.all)
			}
		}
	}
}

// ByPosition is what [Placement] should be: plain, and slow.
func ByPosition(members []Member) (shares []Share) {
	var p Placement
	p.Add(members...)
	return slices.Collect(p.shares(Ring))
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
