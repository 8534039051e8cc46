package broadcast

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// clocked is a service in which each frame takes one tick. All members stand.
type clocked struct {
	nodes   []*clockedNode // by ID
	byInc   map[uint64]*clockedNode
	pending []func()
	tick    int
	frames  [Need + 1]int
}

type clockedNode struct {
	c         *clocked
	n         *Node
	self      Member
	dead      bool
	got, sent int
	at        []int // the tick of each delivery
	done      int
}

func (m *clockedNode) Send(to uint64, f Frame) {
	m.c.frames[f.Kind]++
	m.sent++
	f.Body = slices.Clone(f.Body)
	m.c.pending = append(m.c.pending, func() {
		if dst := m.c.nodes[to/1000]; !dst.dead {
			dst.n.Handle(m.self.ID, f)
		}
	})
}

func (m *clockedNode) Deliver(Member, uint64, uint64, []byte) { m.got++; m.at = append(m.at, m.c.tick) }
func (m *clockedNode) Confirmed(uint64)                       { m.done = m.c.tick }
func (m *clockedNode) Stands()                                {}
func (m *clockedNode) Settled(Member)                         {}

// newClocked makes a service whose lists differ: each node knows each of the first newcomers only
// with a chance of one half, but for those that stand, which it must know.
func newClocked(members, unknown int) *clocked {
	rng := rand.New(rand.NewPCG(uint64(members), uint64(unknown)))
	c := &clocked{byInc: map[uint64]*clockedNode{}}
	for i := range members {
		m := &clockedNode{c: c, self: Member{uint64(i) * 1000, uint64(i) + 1}}
		c.nodes = append(c.nodes, m)
		c.byInc[m.self.Incarnation] = m
	}
	newcomer := map[int]bool{}
	for _, i := range rng.Perm(members)[:unknown] {
		newcomer[i] = true
	}
	for _, m := range c.nodes {
		m.n = &Node{out: m, self: m.self, standing: true, sources: map[uint64]*source{}, shares: map[uint64]share{}}
		m.n.own.lo, m.n.own.next = 1, 1
		for i, o := range c.nodes {
			if !newcomer[i] || o == m || rng.IntN(2) == 0 {
				m.n.view = append(m.n.view, o.self)
			}
		}
	}
	return c
}

// run lets frames travel until none is left, or for so many ticks.
func (c *clocked) run(ticks int) {
	for ; len(c.pending) > 0 && ticks != 0; ticks-- {
		c.tick++
		now := c.pending
		c.pending = nil
		for _, f := range now {
			f()
		}
	}
}

// die lets members end, each other one hear of it, and what they had to pass on be taken over.
func (c *clocked) die(members ...*clockedNode) {
	var dead []Member
	for _, m := range members {
		m.dead = true
		dead = append(dead, m.self)
	}
	for _, m := range c.nodes {
		if !m.dead {
			m.n.Change(1, nil, nil, dead)
		}
	}
}

func (c *clocked) latest() (latest int) {
	for _, m := range c.nodes {
		if !m.dead && len(m.at) > 0 {
			latest = max(latest, m.at[len(m.at)-1])
		}
	}
	return latest
}

func (c *clocked) missing(of *clockedNode, messages int) (missing int) {
	for _, m := range c.nodes {
		if m != of && !m.dead {
			missing += messages - m.got
		}
	}
	return missing
}

// TestFigures measures what a message costs. docs/topics.md has the figures: -v prints them.
func TestFigures(t *testing.T) {
	for _, n := range []int{10, 100, 1000} {
		depth := 0
		for 1<<depth < n {
			depth++
		}
		// One message.
		c := newClocked(n, 0)
		p := c.nodes[n/3]
		p.n.Publish([]byte("x"))
		own := p.sent
		c.run(-1)
		t.Logf("%d members, one message: %d messages, depth %d, the publisher sends %d; %d confirmations, known after %d ticks", n, c.frames[Data], c.latest(), own, c.frames[Confirm], p.done)
		if c.frames[Data] != n-1 || c.latest() > depth || c.frames[Confirm] != n-1 || c.missing(p, 1) != 0 || own > depth {
			t.Errorf("%d members: %v, depth %d, %d missing", n, c.frames, c.latest(), c.missing(p, 1))
		}
		// Many, one a tick and ten a tick.
		many := min(1000, 200_000/n)
		for _, rate := range []int{1, 10} {
			c = newClocked(n, 0)
			p = c.nodes[0]
			for range many / rate {
				for range rate {
					p.n.Publish([]byte("x"))
				}
				c.run(1)
			}
			c.run(-1)
			t.Logf("%d members, %d messages, %d a tick: for each message %.2f times N-1 frames with it, %.2f times N-1 questions and confirmations", n, many, rate,
				float64(c.frames[Data])/float64(many*(n-1)), float64(c.frames[Sync]+c.frames[Confirm])/float64(many*(n-1)))
			if c.frames[Data] != many*(n-1) || c.missing(p, many) != 0 || p.n.Unconfirmed() != 0 {
				t.Errorf("%d members: %v, %d missing", n, c.frames, c.missing(p, many))
			}
		}
		// Each knows half of the newcomers.
		for _, part := range []int{100, 10} {
			unknown := max(1, n/part)
			c = newClocked(n, unknown)
			p = c.nodes[n/2]
			p.n.Publish([]byte("x"))
			c.run(-1)
			t.Logf("%d members, half of the lists lack %d of them: %d messages, depth %d, %d do not get it", n, unknown, c.frames[Data], c.latest(), c.missing(p, 1))
			if c.frames[Data] > n-1 || c.latest() > depth+2 {
				t.Errorf("%d members, %d unknown: %v, depth %d", n, unknown, c.frames, c.latest())
			}
		}
		// Three members end while a hundred messages are on their way.
		c = newClocked(n, 0)
		p = c.nodes[1]
		for i := range 95 {
			p.n.Publish([]byte("x"))
			c.run(1)
			if i == 50 {
				// The busiest ones: the largest shares of the circle.
				var most []*clockedNode
				p.n.view.splitAll(p.self.ID, func(child Member, _ uint64) { most = append(most, c.byInc[child.Incarnation]) })
				most = most[len(most)-3:]
				for _, m := range most {
					m.dead = true
				}
				for range 5 { // the others hear of it later
					p.n.Publish([]byte("x"))
					c.run(1)
				}
				c.die(most...)
			}
		}
		c.run(-1)
		repaired := uint64(0)
		for _, m := range c.nodes {
			repaired += m.n.Repaired
		}
		t.Logf("%d members, 100 messages, the 3 children with the largest ranges die: %s; %d sent again, %d missing", n, c.counts(), repaired, c.missing(p, 100))
		if c.missing(p, 100) != 0 || p.n.Unconfirmed() != 0 {
			t.Errorf("%d members: %d missing, %d unconfirmed", n, c.missing(p, 100), p.n.Unconfirmed())
		}
	}
}

func (c *clocked) counts() string {
	return fmt.Sprintf("%d messages, %d questions, %d confirmations, %d gaps", c.frames[Data], c.frames[Sync], c.frames[Confirm], c.frames[Need])
}
