package ring

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// worstHops is the longest route to each distance below n if an adversary places every
// entry of every node anywhere within its slack.
func worstHops(n int, o Offsets) []int {
	worst := make([]int, n)
	for d := 1; d < n; d++ {
		i := len(o) - 1
		for o[i]-o.slack(i) > d {
			i--
		}
		// Entry i may be used, and is if it cannot be placed beyond d.
		low, high := o[i]-o.slack(i), o[i]+o.slack(i)
		if high > d && i > 0 {
			low = o[i-1] - o.slack(i-1)
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
		for d, hops := range worstHops(5000, Classic(5000, k)) {
			longest = max(longest, hops)
			if n := d + 1; k <= MaxEntries(n) && longest != LaggingHops(n, k) {
				t.Fatalf("%d nodes, %d entries: %d hops at worst, the formula says %d", n, k, longest, LaggingHops(n, k))
			}
			if n := d + 1; k <= MaxEntries(n) && n%7 == 0 && Classic(n, k).LaggingHops(n) != longest {
				t.Fatalf("%d nodes, %d entries: %d hops at worst, not %d", n, k, longest, Classic(n, k).LaggingHops(n))
			}
		}
	}
	for n := range 5000 {
		if got := LaggingHops(n, Entries(n, 0)); got > MaxEntries(n) {
			t.Fatalf("%d nodes with all entries: %d, more than %d", n, got, MaxEntries(n))
		}
	}
}

// audit audits the tables that the nodes were told.
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
		for _, asked := range []Layout{{}, {K: 1}, {K: 3}, {K: 5}, {Fewest: true}, {Fewest: true, K: 3}, {Fewest: true, K: 24}} {
			t.Run(fmt.Sprintf("nodes=%d/k=%d,fewest=%v", n, asked.K, asked.Fewest), func(t *testing.T) {
				if asked.K == 1 && n > 300 {
					t.Skip("a route visits every node")
				}
				c := &churn{rng: rand.New(rand.NewPCG(seed, uint64(n))), space: 1 << 40}
				for range n {
					c.join()
				}
				p, layout := NewPlans(), asked
				update := func(exact bool) {
					layout = layout.For(len(c.members))
					p.Update(c.members, layout.Offsets, exact)
				}
				update(true)
				for phase, steps := range []func(){
					c.join, // the ring grows by half: entries name nodes too far ahead
					func() { c.join(); c.die() },
					c.die, // and shrinks: entries name nodes too near
				} {
					for range max(10, n/2) {
						steps()
						update(false)
					}
					r := audit(t, p, c.members)
					bound := layout.Offsets.LaggingHops(r.Nodes)
					if !asked.Fewest && bound != LaggingHops(r.Nodes, r.Entries) {
						t.Errorf("bound %d, the formula says %d", bound, LaggingHops(r.Nodes, r.Entries))
					}
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
		o := Layout{Fewest: rng.IntN(2) == 0, K: rng.IntN(12)}.For(n).Offsets
		ids, tables := make([]uint64, n), make([][]uint64, n)
		for i := range ids {
			ids[i] = uint64(i)
			for e, c := range o {
				ahead := c + (rng.IntN(3)-1)*o.slack(e)
				tables[i] = append(tables[i], uint64((i+min(ahead, n-1))%n))
			}
		}
		if r := Audit(Mask(40), ids, tables); r.Unreachable != 0 || r.MaxHops > o.LaggingHops(n) {
			t.Fatalf("seed %d, %v, bound %d: %+v", seed, o, o.LaggingHops(n), r)
		}
	}
}
