package membership

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// confirmers are members of which all but some confirm what they are told.
type confirmers struct {
	*Authority
	t      *testing.T
	silent uint64 // the ID of one that does not; no member has ID 0
	ready  []uint64
}

func (c *confirmers) admit(now Time, id uint64) {
	if _, err := c.Admit(now, uint64(now), Request{Addr: fmt.Sprint("a:", id), Want: true, ID: id}); err != nil {
		c.t.Fatal(err)
	}
}

// advance does what is due at a time, and what follows from the answers.
func (c *confirmers) advance(now Time) (next Time) {
	for {
		next = c.Advance(now)
		effects := c.Take()
		if len(effects) == 0 {
			return next
		}
		for _, e := range effects {
			epoch := uint64(0)
			switch b := e.Body.(type) {
			case control.Manifest:
				epoch = b.Epoch
			case control.Update:
				epoch = b.Epoch
			case control.Ready:
				c.ready = append(c.ready, e.Ref.ID)
			}
			if epoch > 0 && e.Ref.ID != c.silent {
				c.Linked(e.Ref, epoch)
			}
		}
	}
}

// A newcomer that all tables lead to does not wait for one that takes long, but for a moment in which
// others may become ready as well.
func TestNewcomersDoNotWaitForSlowOnes(t *testing.T) {
	const lease = 3200 * time.Millisecond
	c := &confirmers{t: t, Authority: New(Config{Bits: 10, Lease: lease, Draw: func(uint64) uint64 { return 1 }})}
	for i := range uint64(20) {
		c.admit(1, 10+10*i)
	}
	c.Setup(1, ring.Layout{})
	c.advance(2)
	c.silent = 150 // the member before the slow one
	c.ready = nil
	c.admit(10, 155)
	c.advance(10)
	if len(c.ready) > 0 {
		t.Fatal("all tables lead to the slow one:", c.ready)
	}
	now := Time(100 * time.Millisecond)
	c.admit(now, 55)
	next := c.advance(now)
	if len(c.ready) > 0 || next != now+lease/32 {
		t.Fatalf("ready %v, and again after %v: it does not wait for others", c.ready, next-now)
	}
	c.admit(now+1, 35)
	if next = c.advance(next - 1); len(c.ready) > 0 {
		t.Fatal(c.ready)
	}
	if c.advance(next); !slices.Equal(c.ready, []uint64{55, 35}) {
		t.Fatalf("ready after %v: %v", next-now, c.ready)
	}
	c.silent = 0
	c.Linked(c.byID[150].Ref(), c.Epoch())
	if c.advance(next + 1); !slices.Contains(c.ready, 155) {
		t.Errorf("ready at last: %v", c.ready)
	}
}
