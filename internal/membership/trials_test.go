package membership

import (
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// court is a registry with its members, whose reports a test makes up.
type court struct {
	t     *testing.T
	a     *Authority
	now   Time
	hung  uint64 // this member answers no ping
	named []uint64
	most  int // the most stubs at a time
	tried map[uint64]int
}

func newCourt(t *testing.T, n int) *court {
	t.Helper()
	a := small(t, n)
	a.Setup(20*time.Second, ring.Layout{})
	settle(a, 20*time.Second)
	return &court{t: t, a: a, now: time.Minute, tried: make(map[uint64]int)}
}

// step lets a quarter of a lease pass.
func (c *court) step() {
	c.now += c.a.Lease / 4
	was := c.a.stubs()
	c.a.Advance(c.now)
	for _, e := range c.a.Take() {
		confirm(c.a, e)
		switch {
		case e.Type == control.TypePing && e.Kind == Send && e.Ref.ID != c.hung:
			c.a.Heartbeat(e.Ref, 1)
		case e.Kind == LedAround:
			c.named = append(c.named, e.Ref.ID)
		}
	}
	c.most = max(c.most, len(c.a.stubs()))
	for _, m := range c.a.stubs() {
		if !slices.Contains(was, m) {
			c.tried[m.ID]++
		}
	}
	c.audit()
}

// audit checks the routes of the tables that were told.
func (c *court) audit() {
	c.t.Helper()
	var ids []uint64
	var tables, hops [][]uint64
	for _, m := range c.a.All() {
		view, ok := c.a.View(m.ID)
		if !ok {
			c.t.Fatalf("no table of %d", m.ID)
		}
		var entries []uint64
		for _, e := range view.Entries {
			entries = append(entries, e.ID)
		}
		ids, tables, hops = append(ids, m.ID), append(tables, entries), append(hops, c.a.LastHops(m.ID))
	}
	if r := ring.AuditStubs(ring.Mask(c.a.Bits), ids, tables, hops); r.Unreachable > 0 {
		c.t.Fatalf("with the stubs %v: %+v", c.a.Sidelined(), r)
	}
}

func (c *court) stuck(from, to uint64, answered ...uint64) {
	c.a.Stuck(c.now, c.a.ref(from), control.Stuck{ID: to, Answered: answered, Complete: len(answered) == 0})
}

func (c *court) heal(from, to uint64) {
	c.a.Stuck(c.now, c.a.ref(from), control.Stuck{ID: to, Healed: true})
}

// onTrial returns the member that is on trial, 0 if none is.
func (c *court) onTrial() uint64 {
	for _, m := range c.a.stubs() {
		if m.stub.until == 0 {
			return m.ID
		}
	}
	return 0
}

// A member that lies about its streams names no other, and has at most one led around.
func TestOneLyingSourceNamesNoRelay(t *testing.T) {
	c := newCourt(t, 50)
	for range 1200 {
		for to := uint64(20); to <= 500; to += 20 {
			if c.onTrial() != 0 {
				c.heal(10, to)
			} else {
				c.stuck(10, to)
			}
		}
		c.step()
	}
	if len(c.named) > 0 || c.most != 1 {
		t.Errorf("named are %v, and up to %d stubs", c.named, c.most)
	}
}

// Two members that lie about each other have at most one led around.
func TestTwoLyingEnds(t *testing.T) {
	c := newCourt(t, 50)
	for range 1000 {
		if c.onTrial() != 0 {
			c.heal(10, 300)
			c.heal(300, 10)
		} else {
			c.stuck(10, 300)
			c.stuck(300, 10)
		}
		c.step()
	}
	if c.most > 1 {
		t.Errorf("up to %d stubs", c.most)
	}
}

// However many members lie, at most an eighth of the ring are stubs.
func TestStubsAreAnEighth(t *testing.T) {
	for _, n := range []int{3, 4, 12, 50} {
		c := newCourt(t, n)
		for i := range 300 {
			for from := uint64(10); from <= uint64(10*n); from += 10 {
				to := uint64(10 * (1 + (int(from)/10+i)%n))
				if from == to {
					continue
				}
				if c.onTrial() != 0 {
					for p := range c.a.stuck {
						c.heal(p.from.ID, p.to.ID)
					}
				} else {
					c.stuck(from, to)
				}
			}
			c.step()
		}
		if c.most > MaxStubs(n) {
			t.Errorf("up to %d stubs of %d members", c.most, n)
		}
		if n > 3 && c.most == 0 {
			t.Errorf("no stubs of %d members", n)
		}
	}
}

// A relay whose trial helps nothing is tried ever less often.
func TestTrialsThatHelpNothing(t *testing.T) {
	c := newCourt(t, 12)
	const leases = 4000
	for i := range 4 * leases {
		if i%4 == 0 {
			c.stuck(10, 80)
			c.stuck(80, 10)
		}
		c.step()
		if len(c.a.stubs()) > 0 && c.onTrial() == 0 {
			t.Fatalf("led around after a trial that helped nothing: %+v", c.a.Sidelined())
		}
	}
	if len(c.named) > 0 {
		t.Errorf("named are %v", c.named)
	}
	for id, n := range c.tried {
		if n > 12 { // 16 leases, 32, 64 and so on
			t.Errorf("node %d was tried %d times in %d leases", id, n, leases)
		}
	}
	if len(c.tried) == 0 {
		t.Error("no relay was tried")
	}
}

// A liar that is found again and again relays ever less: it may not come and go without bound.
func TestLiarThatIsReleased(t *testing.T) {
	c := newCourt(t, 12)
	const leases, liar = 4000, 70
	for i := range 4 * leases {
		for _, p := range [][2]uint64{{50, 80}, {30, 80}, {30, 90}, {110, 90}} {
			through := slices.Contains(c.a.relays(p[0], p[1]), liar) || slices.Contains(c.a.relays(p[1], p[0]), liar)
			if through && i%4 == 0 {
				c.stuck(p[0], p[1])
				c.stuck(p[1], p[0])
			} else if !through {
				c.heal(p[0], p[1])
				c.heal(p[1], p[0])
			}
		}
		c.step()
	}
	if len(c.named) == 0 || len(c.named) > 7 { // after 64 leases, 128, 256 and so on
		t.Errorf("named are %v", c.named)
	}
	for _, id := range c.named {
		if id != liar {
			t.Errorf("named are %v, the liar is %d", c.named, liar)
		}
	}
}

// A sink that hangs stops the streams of all. No relay is tried for that.
func TestSinkThatHangs(t *testing.T) {
	c := newCourt(t, 12)
	c.hung = 80
	for range 400 {
		for _, from := range []uint64{10, 20, 30, 100} {
			if there := c.a.relays(from, 80); len(there) > 0 {
				c.stuck(from, 80, there...)
			} else {
				c.a.Stuck(c.now, c.a.ref(from), control.Stuck{ID: 80})
			}
		}
		c.step()
	}
	if c.most > 0 {
		t.Errorf("tried were %v", c.tried)
	}
}

// The registry remembers few reports of each member.
func TestReportsAreBounded(t *testing.T) {
	c := newCourt(t, 50)
	for to := uint64(20); to <= 500; to += 10 {
		c.stuck(10, to)
		if to%40 == 0 {
			c.heal(10, to)
		}
	}
	if n := len(c.a.stuck); n > maxReports {
		t.Errorf("%d reports of one member", n)
	}
}
