package node_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A node whose machine was suspended asks the registry before it handles anything, and says
// "no such node" of none meanwhile.
func TestSuspendedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shift atomic.Int64
		var handled atomic.Int64
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
		asleep := tr.Join(func(context.Context, ringdht.Message) { handled.Add(1) }, ringdht.WithID(10), ringtest.WithNodeConfig(func(c *node.Config) {
			c.Wall = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
		}))
		other := tr.Join(nil, ringdht.WithID(20))
		tr.Setup(0)
		tr.Exchange(tr.Nodes...)
		time.Sleep(10 * ringtest.Lease)
		inc, present := asleep.Incarnation(), ringtest.NodeOf(asleep).Present()
		if !present.Authoritative() {
			t.Error("it is not sure of its successor")
		}
		net.Hold("n0", "registry")
		was := handled.Load()
		shift.Store(int64(time.Hour))
		if present.Authoritative() {
			t.Error("it is sure of a successor of an hour ago")
		}
		if err := other.Send(tr.Ctx(), 10, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ringtest.Lease / 10)
		if n := handled.Load() - was; n != 0 {
			t.Errorf("%d messages handled after an hour of sleep", n)
		}
		time.Sleep(ringtest.Lease / 3)
		net.Release("n0", "registry")
		if err := other.Flush(tr.Ctx()); err != nil {
			t.Error(err)
		}
		if n := handled.Load() - was; n != 1 || asleep.Incarnation() != inc {
			t.Errorf("%d messages handled in the end, incarnation %d, was %d", n, asleep.Incarnation(), inc)
		}
		tr.Close()
	})
}
