package ring

import (
	"cmp"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// cost adds up what updates told the members.
type cost struct {
	updates, events, told, entries, successors int
	most                                       int // entries after one update
	time                                       time.Duration
}

func (c *cost) update(p *Plans, members []Member, events int, exact bool) {
	c.updateTo(p, members, Classic(len(members), 0), events, exact)
}

func (c *cost) updateTo(p *Plans, members []Member, offsets Offsets, events int, exact bool) {
	start := time.Now()
	changes := p.Update(members, offsets, exact)
	c.time += time.Since(start)
	c.updates++
	c.events += events
	c.told += len(changes)
	entries := 0
	for _, ch := range changes {
		entries += len(ch.Slots)
		c.successors += len(ch.Successors)
	}
	c.entries += entries
	c.most = max(c.most, entries)
}

func (c *cost) String() string {
	per := func(n int) float64 { return float64(n) / float64(c.events) }
	return fmt.Sprintf("%9.1f told %9.1f entries %6.1f successors; %d events an update, at most %d entries, %v",
		per(c.told), per(c.entries), per(c.successors), c.events/c.updates, c.most, (c.time / time.Duration(c.updates)).Round(time.Microsecond))
}

// turnover replaces as many random members by newcomers. Sorting all members, or moving
// them for each change, would take longer than the update.
func (c *churn) turnover(deaths, joins int) {
	for range deaths {
		at := c.rng.IntN(len(c.members))
		for c.members[at].Incarnation == 0 {
			at = c.rng.IntN(len(c.members))
		}
		c.members[at].Incarnation = 0
	}
	fresh := make([]Member, joins)
	for i := range fresh {
		c.lastInc++
		fresh[i] = Member{Peer: Peer{ID: c.rng.Uint64(), Incarnation: c.lastInc}}
	}
	slices.SortFunc(fresh, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	merged := make([]Member, 0, len(c.members)+joins)
	for _, m := range c.members {
		for len(fresh) > 0 && fresh[0].ID < m.ID {
			merged, fresh = append(merged, fresh[0]), fresh[1:]
		}
		if m.Incarnation != 0 {
			merged = append(merged, m)
		}
	}
	c.members = append(merged, fresh...)
}

func newRing(seed uint64, n int) *churn {
	c := &churn{rng: rand.New(rand.NewPCG(seed, uint64(n))), space: 1 << 63}
	c.turnover(0, n)
	return c
}

// TestCostOfChange measures the messages and entries of one join and of one death. They are
// at most a few times the logarithm of the ring.
func TestCostOfChange(t *testing.T) {
	seed := rand.Uint64()
	for _, n := range []int{10, 1000, 100_000} {
		if n > 1000 && (testing.Short() || raceEnabled) {
			continue
		}
		// At 100,000 the measured part is too short for entries to drift. So batches of
		// joins and deaths bring the ring to its steady state before.
		batch := max(1, n/20)
		var join, death, exactJoin, exactDeath, growth, shrinkage cost
		c := newRing(seed, n)
		p := NewPlans()
		p.Update(c.members, Classic(len(c.members), 0), true)
		for range 40 {
			c.turnover(batch, batch)
			p.Update(c.members, Classic(len(c.members), 0), false)
		}
		steps := min(2000, 5_000_000/n)
		for range steps {
			c.join()
			join.update(p, c.members, 1, false)
			c.die()
			death.update(p, c.members, 1, false)
		}
		lag := float64(p.Lag()) / float64(n)
		p.Update(c.members, Classic(len(c.members), 0), true)
		for range min(steps, 10) {
			c.join()
			exactJoin.update(p, c.members, 1, true)
			c.die()
			exactDeath.update(p, c.members, 1, true)
		}
		// Only joins, then only deaths, between two powers of two: the tables keep their
		// size, and every entry reaches the end of its slack several times.
		few := 1<<bits.Len(uint(n-1))/2 + 1
		c = newRing(seed, few)
		p = NewPlans()
		p.Update(c.members, Classic(len(c.members), 0), true)
		batch = max(1, n/150)
		for len(c.members)+batch < 2*few-2 {
			c.turnover(0, batch)
			growth.update(p, c.members, batch, false)
		}
		for len(c.members)-batch >= few {
			c.turnover(batch, 0)
			shrinkage.update(p, c.members, batch, false)
		}

		k := MaxEntries(n)
		t.Logf("%d nodes, %d entries each, %.1f of them lag", n, k, lag)
		for _, row := range []struct {
			name  string
			of    *cost
			bound int // entries
		}{
			{"join", &join, 2*k + 16},
			{"death", &death, k + 16},
			{"join, growing", &growth, 9*k + 7},
			{"death, shrinking", &shrinkage, 9*k + 7},
			{"join, exact", &exactJoin, 2*n + k},
			{"death, exact", &exactDeath, 2*n + k},
		} {
			t.Logf("%-17s %v", row.name, row.of)
			if row.of.entries > row.bound*row.of.events || row.of.told > (row.bound+Successors)*row.of.events {
				t.Errorf("seed %d, %d nodes, %s: over %d entries", seed, n, row.name, row.bound)
			}
		}
	}
}

// TestCostOfFewestHops measures the same for FewestHops. Its offsets are nearer to each
// other, so there is less slack. Growth by an eighth replaces all tables, which is 8k
// entries for each join.
func TestCostOfFewestHops(t *testing.T) {
	seed := rand.Uint64()
	for _, n := range []int{100, 1000} {
		var join, death, growth cost
		c := newRing(seed, n)
		p, l := NewPlans(), Layout{Fewest: true}
		update := func(to *cost) {
			l = l.For(len(c.members))
			to.updateTo(p, c.members, l.Offsets, 1, false)
		}
		update(new(cost))
		for range 2 * n {
			c.join()
			update(&join)
			c.die()
			update(&death)
		}
		k := len(l.Offsets)
		for len(c.members) < 2*n {
			c.join()
			update(&growth)
		}
		for _, row := range []struct {
			name  string
			of    *cost
			bound int
		}{{"join", &join, 6 * k}, {"death", &death, 6 * k}, {"join, growing", &growth, 17*k + 7}} {
			t.Logf("%4d nodes, %-13s %v", n, row.name, row.of)
			if row.of.entries > row.bound*row.of.events {
				t.Errorf("seed %d, %d nodes, %s: over %d entries", seed, n, row.name, row.bound)
			}
		}
	}
}

func TestViewsAreCompact(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, n := range []int{1000, 10_000, 100_000} {
		c := newRing(1, n)
		p := NewPlans()
		before := used()
		p.Update(c.members, Classic(len(c.members), 0), true)
		p.Update(c.members, Classic(len(c.members), 0), false) // the second update allocates the other half
		each := float64(used()-before) / float64(n)
		t.Logf("%d nodes, %d entries: %.0f bytes a member", n, p.views.k, each)
		if each > 200 {
			t.Errorf("%d nodes: %.0f bytes a member", n, each)
		}
		runtime.KeepAlive(p)
		runtime.KeepAlive(c)
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		c := newRing(1, n)
		few := slices.Clone(c.members)
		c.join()
		rings := [][]Member{few, c.members}
		b.Run(fmt.Sprintf("scratch/nodes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NewPlans().Update(few, Classic(n, 0), true)
			}
		})
		for name, exact := range map[string]bool{"lazy": false, "exact": true} {
			b.Run(fmt.Sprintf("%s/nodes=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				p := NewPlans()
				p.Update(few, Classic(n, 0), true)
				for i := 1; b.Loop(); i++ {
					p.Update(rings[i%2], Classic(n, 0), exact)
				}
			})
		}
	}
}
