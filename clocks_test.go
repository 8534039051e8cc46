package ringdht

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/x/ringdht/internal/handshake"
)

func TestElapsed(t *testing.T) {
	from := time.Now()
	for _, c := range []struct {
		to   time.Time
		want time.Duration
	}{
		{from.Add(time.Second), time.Second},
		{from.Round(0).Add(time.Hour), time.Hour}, // set forward, or suspended
		{from, 0},
		{setForward(from, time.Hour), time.Hour},
		{setForward(from.Add(2*time.Hour), -time.Hour), 2 * time.Hour},
	} {
		if got := handshake.Elapsed(from, c.to); got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}

// setForward is a moment at which only the time of day is another. Its seconds are in bits
// 30 to 62 of the first word of a time that has both clocks.
func setForward(t time.Time, by time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(int64(by/time.Second)) << 30
	return t
}

// A node whose machine was suspended asks the registry before it handles anything, and says
// "no such node" of none meanwhile.
func TestSuspendedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shift atomic.Int64
		var handled atomic.Int64
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		asleep := tr.join(func(context.Context, Message) { handled.Add(1) }, WithID(10), nodeOption(func(c *nodeConfig) {
			c.Wall = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
		}))
		other := tr.join(nil, WithID(20))
		tr.setup(0)
		tr.exchange(tr.nodes...)
		time.Sleep(10 * lease)
		life, l := asleep.Incarnation(), asleep.inc.Load()
		if !l.sure() {
			t.Error("it is not sure of its successor")
		}
		net.Hold("n0", "registry")
		was := handled.Load()
		shift.Store(int64(time.Hour))
		if l.sure() {
			t.Error("it is sure of a successor of an hour ago")
		}
		if err := other.Send(tr.ctx(), 10, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lease / 10)
		if n := handled.Load() - was; n != 0 {
			t.Errorf("%d messages handled after an hour of sleep", n)
		}
		time.Sleep(lease / 3)
		net.Release("n0", "registry")
		if err := other.Flush(tr.ctx()); err != nil {
			t.Error(err)
		}
		if n := handled.Load() - was; n != 1 || asleep.Incarnation() != life {
			t.Errorf("%d messages handled in the end, life %d, was %d", n, asleep.Incarnation(), life)
		}
		tr.close()
	})
}
