package membership

import (
	"slices"
	"testing"

	"github.com/x/ringdht/internal/ring"
)

// The pairs of a ring of twelve whose streams pass node 70, one way or the other.
var through70 = [][2]uint64{{50, 80}, {30, 80}, {30, 90}, {110, 90}}

// lie makes the streams stand still that pass a relay, and the others go on.
func (c *court) lie(relay uint64, pairs [][2]uint64) {
	for _, p := range pairs {
		through := slices.Contains(c.a.relays(p[0], p[1]), relay) || slices.Contains(c.a.relays(p[1], p[0]), relay)
		if through {
			c.stuck(p[0], p[1])
			c.stuck(p[1], p[0])
		} else {
			c.heal(p[0], p[1])
			c.heal(p[1], p[0])
		}
	}
}

// A member is named if the streams go on without it, and if no fault may be why. What the member
// says itself is no such fault.
func TestFaultsExplainStreams(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(c *court)
		named int
	}{
		{"no fault", func(*court) {}, 1},
		{"an end had trouble", func(c *court) {
			for _, p := range through70 {
				c.a.Trouble(c.now, c.a.ref(p[0]), c.a.ref(p[1]), "cut")
				c.a.Trouble(c.now, c.a.ref(p[0]), c.a.ref(p[1]), "")
			}
		}, 0},
		{"the accused says that others have", func(c *court) {
			for _, p := range through70 {
				c.a.Trouble(c.now, c.a.ref(70), c.a.ref(p[0]), "cut")
				c.a.Trouble(c.now, c.a.ref(70), c.a.ref(p[0]), "")
			}
		}, 1},
		{"the ends ran late", func(c *court) {
			for _, p := range through70 {
				c.a.RanLate(c.a.ref(p[0]), c.a.Lease)
			}
		}, 0},
		{"the registry did not run", func(c *court) { c.a.DidNotRun(c.a.Lease/4, false) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			court := newCourt(t, 12)
			for range 60 {
				court.lie(70, through70)
				c.fault(court)
				court.step()
			}
			if len(court.named) != c.named || court.most != 1 {
				t.Errorf("named are %v, up to %d stubs", court.named, court.most)
			}
		})
	}
}

// Streams that stand still for a while and go on by themselves name no relay: messages are lost by
// overload.
func TestStreamsThatGoOnByThemselves(t *testing.T) {
	c := newCourt(t, 12)
	for i := range 400 {
		for n, p := range through70 {
			if (i+3*n)%12 < 8 { // two leases of three
				c.stuck(p[0], p[1])
				c.stuck(p[1], p[0])
			} else {
				c.heal(p[0], p[1])
				c.heal(p[1], p[0])
			}
		}
		c.step()
	}
	if len(c.named) > 0 {
		t.Errorf("named are %v, tried were %v", c.named, c.tried)
	}
}

// If the same pairs suspect several relays, none is named, though routes lead around one.
func TestRelaysThatFitAlike(t *testing.T) {
	c := newCourt(t, 12)
	c.a.Setup(c.now, ring.Layout{K: 1})
	for range 8 {
		c.step()
	}
	for range 60 {
		if c.onTrial() == 0 && c.most == 0 {
			c.stuck(10, 70)
			c.stuck(70, 10)
		} else {
			c.heal(10, 70)
			c.heal(70, 10)
		}
		c.step()
	}
	if len(c.named) > 0 || c.most != 1 {
		t.Errorf("named are %v, up to %d stubs", c.named, c.most)
	}
}
