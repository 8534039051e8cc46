package plane

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Counters never go back while connections end, whose own numbers move into the sums over those
// that have ended.
func TestCountersNeverGoBack(t *testing.T) {
	p := New(Config{
		Self: 20, Incarnation: 200, Bits: 16, MaxPayload: 64 << 10, HopLimit: 1000,
		Limits: testLimits(), Deliver: nothing, Log: slog.New(slog.DiscardHandler),
	})
	defer p.Close(net.ErrClosed)
	frame := wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 5}, nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 5000 {
			near, far := memnet.Pipe()
			received := make(chan struct{})
			go func() { p.Receive(far, 10, 1, nil, nil); close(received) }()
			near.Write(frame)
			near.Close()
			<-received
		}
	}()
	var before status.Counters
	for {
		select {
		case <-ended:
			return
		default:
		}
		c := p.Counters()
		if c.BytesIn < before.BytesIn || c.Reads < before.Reads || c.FramesIn < before.FramesIn {
			t.Fatalf("%+v, and before %+v", c, before)
		}
		before = c
	}
}

func TestBucketOf(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-1: 0, 0: 0, 1: 0, time.Microsecond: 0, time.Microsecond + 1: 1, 2 * time.Microsecond: 1, 2*time.Microsecond + 1: 2,
		1024 * time.Microsecond: 10, 1025 * time.Microsecond: 11, 1 << 24 * time.Microsecond: 24, 1<<24*time.Microsecond + 1: 25, time.Hour: 25,
	} {
		if got := bucketOf(d); got != want {
			t.Errorf("%v is in bucket %d, want %d", d, got, want)
		}
	}
}

// The histogram of hops has each message once, in any order, including those whose handler
// panics.
func TestHops(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(30)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		var batch []wire.Frame
		want := [HopCounts]int64{}
		for i, hops := range []int{1, 1, 3, 3, 3, 0, 1, 30, 31, 32, 500, 2} {
			f := wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 10, Hops: uint16(hops)}, []byte{byte(i % 5)})
			batch = append(batch, f)
			want[min(hops+1, HopCounts-1)]++ // it has crossed one more link
		}
		r.feed(batch...)
		if s := r.p.Status(); s.Hops != want || s.Panics != 2 || s.Delivered != 12 {
			t.Errorf("hops %v, want %v; %d panics, %d delivered", s.Hops, want, s.Panics, s.Delivered)
		}
	}, func(c *Config) {
		c.Deliver = func(_ context.Context, d *Delivery) {
			if d.Body[0] == 4-1 {
				panic("it panics")
			}
		}
	})
}

// Casts are counted by their links. Those of a link that has ended, those that found no room, and
// those without a link stay in the sum.
func TestCastsAreCounted(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		far := r.link(40)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		cast := func(size int, want int64) {
			t.Helper()
			if err := r.p.Cast(t.Context(), 40, 0, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			if c := r.p.Counters(); c.Casts != want || c.Sent != want {
				t.Errorf("%d casts, %d sent, want %d", c.Casts, c.Sent, want)
			}
		}
		cast(1, 1)
		cast(2000, 2) // more than fit into the queue
		r.dropped(status.Dropped{QueueFull: 1})
		synctest.Wait()
		far.Close()
		synctest.Wait()
		cast(1, 3)
		r.dropped(status.Dropped{QueueFull: 1, LinkDown: 1})
		r.link(40)
		cast(1, 4)
	}, func(c *Config) { c.LinkQueue, c.LinkLow = 1000, 500 })
}
