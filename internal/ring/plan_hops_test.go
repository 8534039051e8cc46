package ring

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// worstHops is the longest route to each distance below n when an adversary
// places every entry of every node anywhere within its slack.
func worstHops(n, k int) []int {
	worst := make([]int, n)
	for d := 1; d < n; d++ {
		i := k - 1
		for 1<<i-slack(i) > d {
			i--
		}
		// Entry i may be used, and is if it cannot be placed beyond d.
		low, high := 1<<i-slack(i), 1<<i+slack(i)
		if high > d && i > 0 {
			low = 1<<(i-1) - slack(i-1)
		}
		for hop := low; hop <= min(high, d); hop++ {
			worst[d] = max(worst[d], worst[d-hop]+1)
		}
	}
	return worst
}

func TestLaggingHopsIsTheWorst(t *testing.T) {
	for k := 1; k <= 13; k++ {
		longest := 0
		for d, hops := range worstHops(5000, k) {
			longest = max(longest, hops)
			if n := d + 1; k <= MaxEntries(n) && longest != LaggingHops(n, k) {
				t.Fatalf("%d nodes, %d entries: %d hops at worst, the formula says %d", n, k, longest, LaggingHops(n, k))
			}
		}
	}
	for n := range 5000 {
		if got := LaggingHops(n, Entries(n, 0)); got > MaxEntries(n) {
			t.Fatalf("%d nodes with all entries: %d, more than %d", n, got, MaxEntries(n))
		}
	}
}

// audit audits what the nodes were told.
func audit(t *testing.T, p *Plans, members []Member) Report {
	t.Helper()
	ids := make([]uint64, len(members))
	tables := make([][]uint64, len(members))
	for i, m := range members {
		ids[i] = m.ID
		v, ok := p.View(m.ID)
		if !ok {
			t.Fatalf("member %d has no view", i)
		}
		for _, e := range v.Entries {
			tables[i] = append(tables[i], e.ID)
		}
	}
	return Audit(Mask(40), ids, tables)
}

func TestRoutesUnderLag(t *testing.T) {
	seed := rand.Uint64()
	for _, n := range []int{10, 17, 33, 64, 129, 300, 1000, 2000} {
		if n > 300 && (testing.Short() || raceEnabled) {
			continue
		}
		for _, k := range []int{0, 1, 3, 5} {
			t.Run(fmt.Sprintf("nodes=%d/k=%d", n, k), func(t *testing.T) {
				if k == 1 && n > 300 {
					t.Skip("a route visits every node")
				}
				c := &churn{rng: rand.New(rand.NewPCG(seed, uint64(n))), space: 1 << 40}
				for range n {
					c.join()
				}
				p := NewPlans()
				p.Update(c.members, k, true)
				for phase, steps := range []func(){
					c.join, // the ring grows by half: entries come to name nodes too far ahead
					func() { c.join(); c.die() },
					c.die, // and shrinks: too near
				} {
					for range max(10, n/2) {
						steps()
						p.Update(c.members, k, false)
					}
					r := audit(t, p, c.members)
					bound := LaggingHops(r.Nodes, r.Entries)
					if r.Unreachable != 0 || r.MaxHops > bound {
						t.Fatalf("seed %d phase %d, %d entries lag: bound %d, %+v", seed, phase, p.Lag(), bound, r)
					}
					t.Logf("%d nodes, %d entries, %.1f lag each: mean %.2f, at most %d hops, bound %d",
						r.Nodes, r.Entries, float64(p.Lag())/float64(r.Nodes), r.MeanHops, r.MaxHops, bound)
				}
			})
		}
	}
}

// No churn drifts as badly as entries placed at random at the ends of their slack.
func TestRoutesUnderTheWorstLag(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 60 {
		n := 2 + rng.IntN(500)
		k := Entries(n, rng.IntN(12))
		ids, tables := make([]uint64, n), make([][]uint64, n)
		for i := range ids {
			ids[i] = uint64(i)
			for e := range k {
				ahead := 1<<e + (rng.IntN(3)-1)*slack(e)
				tables[i] = append(tables[i], uint64((i+min(ahead, n-1))%n))
			}
		}
		if r := Audit(Mask(40), ids, tables); r.Unreachable != 0 || r.MaxHops > LaggingHops(n, k) {
			t.Fatalf("seed %d, bound %d: %+v", seed, LaggingHops(n, k), r)
		}
	}
}
