package ring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// oracle is the definition of ClosestPreceding, word for word, by brute force.
func oracle(mask, self, dst uint64, entries []uint64) int {
	best, at := uint64(0), -1
	for i, e := range entries {
		d := Distance(mask, self, e)
		if d <= Distance(mask, self, dst) && (at < 0 || d > best) {
			best, at = d, i
		}
	}
	return at
}

func clockwise(mask, self uint64, entries []uint64) {
	slices.SortFunc(entries, func(a, b uint64) int {
		if Distance(mask, self, a) < Distance(mask, self, b) {
			return -1
		}
		return 1
	})
}

func TestClosestPrecedingInEverySmallRing(t *testing.T) {
	for bits := 1; bits <= 4; bits++ {
		mask := Mask(bits)
		size := mask + 1
		for set := uint64(0); set < 1<<size; set++ {
			if bits == 4 && set%37 != 0 { // 65,536 sets of entries would take a minute under -race
				continue
			}
			for self := range size {
				var entries []uint64
				for e := range size {
					if set>>e&1 == 1 && e != self {
						entries = append(entries, e)
					}
				}
				clockwise(mask, self, entries)
				for dst := range size {
					got, want := ClosestPreceding(mask, self, dst, entries), oracle(mask, self, dst, entries)
					if got != want {
						t.Fatalf("bits %d self %d dst %d entries %v: got %d, want %d", bits, self, dst, entries, got, want)
					}
				}
			}
		}
	}
}

func TestClosestPrecedingInRandomLargeRings(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 3000 {
		bits := 5 + rng.IntN(60)
		mask := Mask(bits)
		self := rng.Uint64() & mask
		seen := map[uint64]bool{self: true}
		var entries []uint64
		for range rng.IntN(70) {
			if e := rng.Uint64() & mask; !seen[e] {
				seen[e] = true
				entries = append(entries, e)
			}
		}
		clockwise(mask, self, entries)
		for range 20 {
			dst := rng.Uint64() & mask
			if len(entries) > 0 && rng.IntN(2) == 0 {
				dst = (entries[rng.IntN(len(entries))] + uint64(rng.IntN(3)) - 1) & mask
			}
			if got, want := ClosestPreceding(mask, self, dst, entries), oracle(mask, self, dst, entries); got != want {
				t.Fatalf("seed %d bits %d self %d dst %d entries %v: got %d, want %d", seed, bits, self, dst, entries, got, want)
			}
		}
	}
}

func TestClosestPrecedingAtItsEdges(t *testing.T) {
	const mask = 0xff
	if got := ClosestPreceding(mask, 7, 9, []uint64(nil)); got != -1 {
		t.Errorf("empty table: got %d, want -1", got)
	}
	if got := ClosestPreceding(mask, 7, 7, []uint64{9, 200}); got != -1 {
		t.Errorf("dst is self: got %d, want -1, the interval (self, self] is empty", got)
	}
	if got := ClosestPreceding(mask, 7, 8, []uint64{9, 200}); got != -1 {
		t.Errorf("every entry overshoots: got %d, want -1", got)
	}
	if got := ClosestPreceding(mask, 7, 9, []uint64{9, 200}); got != 0 {
		t.Errorf("dst is an entry: got %d, want 0", got)
	}
	if got := ClosestPreceding(mask, 250, 3, []uint64{255, 2, 100}); got != 1 {
		t.Errorf("across zero: got %d, want 1", got)
	}
}

func TestPositionsNeverRepeatAndNeverNameSelf(t *testing.T) {
	for n := 1; n <= 130; n++ {
		for k := 0; k <= n+3; k++ {
			kk := Entries(n, k)
			if k > 0 && kk > k {
				t.Fatalf("n %d: k %d became %d", n, k, kk)
			}
			for self := range n {
				seen := map[int]bool{self: true}
				for _, p := range AppendPositions(nil, n, self, kk) {
					if seen[p] {
						t.Fatalf("n %d k %d self %d: position %d twice, or self", n, kk, self, p)
					}
					seen[p] = true
				}
				if n > 1 && !seen[(self+1)%n] {
					t.Fatalf("n %d k %d self %d: no successor", n, kk, self)
				}
			}
		}
	}
}

func plan(bits, n, k int, rng *rand.Rand) (ids []uint64, tables [][]uint64) {
	m := NewMembers(bits)
	for i := range n {
		if _, err := m.Add(string(rune('a'+i)), 1, false, rng.Uint64N); err != nil {
			panic(err)
		}
	}
	for _, mm := range m.All() {
		ids = append(ids, mm.ID)
	}
	for i := range ids {
		var t []uint64
		for _, p := range AppendPositions(nil, n, i, Entries(n, k)) {
			t = append(t, ids[p])
		}
		tables = append(tables, t)
	}
	return ids, tables
}

func TestAuditAgreesWithTheFormula(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		bits, n, k int
		mean       float64
		max        int
	}{
		{16, 10, 3, 1.889, 3}, {7, 128, 3, 16.63, 33}, {7, 128, 7, 3.528, 7}, {16, 2, 1, 1, 1}, {16, 3, 5, 1, 1}, {16, 3, 1, 1.5, 2},
	} {
		ids, tables := plan(c.bits, c.n, c.k, rng)
		r := Audit(Mask(c.bits), ids, tables)
		if r.Unreachable != 0 || r.Pairs != c.n*(c.n-1) {
			t.Errorf("n %d k %d: %d of %d pairs unreachable", c.n, c.k, r.Unreachable, r.Pairs)
		}
		if r.MaxHops != c.max || r.MeanHops < c.mean-0.005 || r.MeanHops > c.mean+0.005 {
			t.Errorf("n %d k %d: mean %.4f max %d, want %.3f and %d", c.n, c.k, r.MeanHops, r.MaxHops, c.mean, c.max)
		}
		sum, longest := 0, 0
		for d := 1; d < c.n; d++ {
			h := Hops(d, Entries(c.n, c.k))
			sum += h
			longest = max(longest, h)
		}
		if got := float64(sum) / float64(c.n-1); got-r.MeanHops > 1e-9 || r.MeanHops-got > 1e-9 || longest != r.MaxHops {
			t.Errorf("n %d k %d: the formula says %.4f and %d, the audit %.4f and %d", c.n, c.k, got, longest, r.MeanHops, r.MaxHops)
		}
		// Tables by position look the same from every node, so all nodes relay the same.
		if want := float64(sum - (c.n - 1)); r.MeanRelayed != want || float64(r.MinRelayed) != want || float64(r.MaxRelayed) != want {
			t.Errorf("n %d k %d: relayed %d to %d, mean %.1f, want %.0f", c.n, c.k, r.MinRelayed, r.MaxRelayed, r.MeanRelayed, want)
		}
	}
}

func TestAuditFindsBrokenTables(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for name, spoil := range map[string]func(ids []uint64, tables [][]uint64){
		"no successor":  func(ids []uint64, tables [][]uint64) { tables[4] = tables[4][1:] },
		"empty table":   func(ids []uint64, tables [][]uint64) { tables[0] = nil },
		"not a member":  func(ids []uint64, tables [][]uint64) { tables[2][0]-- },
		"names itself":  func(ids []uint64, tables [][]uint64) { tables[3][0] = ids[3] },
		"points behind": func(ids []uint64, tables [][]uint64) { tables[5][0] = ids[4] },
	} {
		ids, tables := plan(16, 11, 3, rng)
		spoil(ids, tables)
		if r := Audit(Mask(16), ids, tables); r.Unreachable == 0 {
			t.Errorf("%s: the audit found nothing", name)
		}
	}
}

func TestAuditSamplesLargeRings(t *testing.T) {
	ids := make([]uint64, 3*AuditSample)
	tables := make([][]uint64, len(ids))
	for i := range ids {
		ids[i] = uint64(i) * 5
	}
	for i := range ids {
		for _, p := range AppendPositions(nil, len(ids), i, Entries(len(ids), 0)) {
			tables[i] = append(tables[i], ids[p])
		}
	}
	r := Audit(Mask(16), ids, tables)
	if r.Sinks != AuditSample || r.Unreachable != 0 || r.MaxHops > 13 {
		t.Errorf("got %+v", r)
	}
}

func TestEveryFreeIDIsDrawnUntilTheRingIsFull(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	m := NewMembers(4)
	for i := range 16 {
		mm, err := m.Add(string(rune('a'+i)), 1, false, rng.Uint64N)
		if err != nil || mm.ID > 15 {
			t.Fatalf("member %d: %v %v", i, mm, err)
		}
	}
	for i, mm := range m.All() {
		if mm.ID != uint64(i) {
			t.Fatalf("IDs are not 0 to 15: %v", m.All())
		}
	}
	if _, err := m.Add("z", 1, false, rng.Uint64N); err != ErrFull {
		t.Fatalf("the 17th member: %v, want ErrFull", err)
	}
	if !m.Remove(9) || m.Remove(9) {
		t.Fatal("Remove does not say whether the member was there")
	}
	if mm, err := m.Add("z", 1, false, rng.Uint64N); err != nil || mm.ID != 9 {
		t.Fatalf("the one free ID is 9, got %v %v", mm, err)
	}
	if _, err := m.Add("z", 1, false, rng.Uint64N); err != ErrAddrTaken {
		t.Fatalf("the same address: %v, want ErrAddrTaken", err)
	}
}

func TestAddInTheWidestSpace(t *testing.T) {
	m := NewMembers(64)
	draw := func(n uint64) uint64 {
		if n != 0 {
			return n - 1
		}
		return ^uint64(0)
	}
	for _, want := range []uint64{^uint64(0), ^uint64(0) - 1} {
		if mm, err := m.Add(string(rune(want)), 1, false, draw); err != nil || mm.ID != want {
			t.Fatalf("got %v %v, want %d", mm, err, want)
		}
		m.byAddr = map[string]uint64{}
	}
}

func BenchmarkClosestPreceding(b *testing.B) {
	for _, k := range []int{4, 16, 1000} {
		mask := Mask(16)
		entries := make([]uint64, k)
		for i := range entries {
			entries[i] = uint64((i + 1) * 60)
		}
		b.Run(fmt.Sprintf("entries=%d", k), func(b *testing.B) {
			b.ReportAllocs()
			dst, sum := uint64(1), 0
			for b.Loop() {
				sum += ClosestPreceding(mask, 0, dst, entries)
				dst = (dst*25173 + 13849) & mask
			}
			_ = sum
		})
	}
}
