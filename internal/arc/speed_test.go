package arc

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// cluster is an authority with owners that do at once what they are told, and keep nothing.
type cluster struct {
	*Authority
	told []note // not heard yet
	term uint64
	rng  *rand.Rand
	live []Member
	next uint64
	most int // orders have so many arcs
}

type note struct {
	to uint64
	f  Frame
}

func (c *cluster) Tell(life uint64, f Frame) {
	if f.Kind != Settled {
		c.told = append(c.told, note{life, f})
	}
}
func (c *cluster) Orders(_ uint64, o Orders) { c.most = max(c.most, len(o.Hold)+len(o.Pull)) }
func (c *cluster) Refused(life uint64)       { panic(life) }
func (c *cluster) draw() uint64              { c.term++; return c.term }

func (c *cluster) member() Member {
	c.next++
	m := Member{c.next, Positions(c.rng.Uint64(), 64)}
	c.live = append(c.live, m)
	return m
}

// newCluster returns an authority at rest, with n owners of 64 positions each.
func newCluster(n int) *cluster {
	c := &cluster{rng: rand.New(rand.NewPCG(1, 20))}
	c.Authority = NewAuthority(c.draw, true, c)
	reports := map[uint64]*Report{}
	for range n {
		reports[c.member().Life] = &Report{}
	}
	for _, s := range ByPosition(c.live) {
		reports[s.Life].Held = append(reports[s.Life].Held, Held{s.Arc, c.draw()})
	}
	for _, m := range c.live {
		c.Report(m, *reports[m.Life])
	}
	c.Recovered()
	return c
}

// rest lets all happen that follows.
func (c *cluster) rest() (frames int) {
	for len(c.told) > 0 {
		told := c.told
		c.told = nil
		for _, n := range told {
			frames++
			switch {
			case n.f.Kind == Grant && n.f.Life != 0:
				c.Handle(n.to, Frame{Kind: Took, Arc: n.f.Arc, Term: n.f.Term})
			case n.f.Kind == Retired:
				c.Handle(n.to, Frame{Kind: Left})
				c.Gone(n.to)
				c.live = slices.DeleteFunc(c.live, func(m Member) bool { return m.Life == n.to })
			}
		}
	}
	return frames
}

func (c *cluster) die() {
	i := c.rng.IntN(len(c.live))
	c.Gone(c.live[i].Life)
	c.live = slices.Delete(c.live, i, i+1)
}

// BenchmarkChange is what a join, a death, and a retirement cost the authority, with all frames that
// follow.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{100, 1000} {
		c := newCluster(n)
		b.Run(fmt.Sprintf("owners=%d/join-die", n), func(b *testing.B) {
			for b.Loop() {
				c.Report(c.member(), Report{})
				c.rest()
				c.die()
				c.rest()
			}
		})
		b.Run(fmt.Sprintf("owners=%d/join-retire", n), func(b *testing.B) {
			for b.Loop() {
				c.Report(c.member(), Report{})
				c.rest()
				c.Handle(c.live[c.rng.IntN(len(c.live))].Life, Frame{Kind: Retire})
				c.rest()
			}
		})
	}
}

// BenchmarkMassJoin is what it costs the authority if so many owners join one at once.
func BenchmarkMassJoin(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("owners=%d", n), func(b *testing.B) {
			frames := 0
			for b.Loop() {
				c := newCluster(1)
				for range n {
					c.Report(c.member(), Report{})
				}
				frames += c.rest()
			}
			b.ReportMetric(float64(frames)/float64(b.N), "frames/op")
		})
	}
}

// BenchmarkMemory is what the authority keeps for an arc of the placement.
func BenchmarkMemory(b *testing.B) {
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		c := newCluster(1000)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/64000, "B/arc")
		runtime.KeepAlive(c)
	}
}

// BenchmarkGiveAll is what it costs the first owner to give its arcs to 1,000 others, all at once. Its
// state takes no time.
func BenchmarkGiveAll(b *testing.B) {
	var p Placement
	for life := range uint64(1000) {
		p.Add(Member{life + 1, Positions(life*life*life<<30, 64)})
	}
	shares := slices.Collect(p.shares(Ring))
	for b.Loop() {
		o := NewOwner(&quiet{})
		o.Report()
		o.Orders(Orders{Hold: []Held{{Ring, 1}}})
		o.TookState(1, true)
		for i, s := range shares {
			o.Handle(s.Life, Frame{Kind: Pull, Arc: s.Arc, Term: uint64(i) + 2})
		}
		for op := range uint64(len(shares)) {
			o.Gave(op+2, nil, true)
		}
		for i, s := range shares {
			o.Handle(Registry, Frame{Kind: Settled, Arc: s.Arc, Term: uint64(i) + 2})
		}
		if !o.empty() {
			b.Fatal("it keeps something")
		}
	}
}
