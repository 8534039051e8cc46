package plane

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// shower is the weather of a ring's links: they lose frames, and let others overtake them. It makes some
// sinks such of an earlier program, which take no bundles.
type shower struct {
	t     testing.TB
	lose  float64         // the share of frames that are lost, and that are late
	plain map[uint64]bool // sinks that take no bundles
	lost  atomic.Int64    // how many relays lost messages have crossed
}

// rain is a connection in a shower.
type rain struct {
	net.Conn
	*shower
	*drops
}

type drops struct {
	mu   sync.Mutex
	rng  *rand.Rand
	late wire.Frame
}

func (c rain) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []byte
	for rest := b; len(rest) > 0; {
		var f wire.Frame
		f, rest = wire.Next(rest)
		if f.Type().ConnectionOnly() {
			out = append(out, f...)
			continue
		}
		f = append(wire.Frame(nil), f...)
		if f.Type() == wire.Opened && c.plain[f.Src()] {
			f[7] &^= 2
		}
		if f.Messages() > 1 && c.plain[f.Dst()] {
			c.t.Errorf("a bundle for %d, which takes none", f.Dst())
		}
		switch x := c.rng.Float64(); {
		case x < c.lose:
			if f.Type() == wire.Data {
				c.lost.Add(int64(f.Messages()) * int64(f.Hops()))
			}
		case x < 2*c.lose && len(c.late) == 0:
			c.late = f
		default:
			out = append(append(out, f...), c.late...)
			c.late = nil
		}
	}
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// On a ring whose links lose and overtake frames, some sinks of which take bundles, all messages are
// handled once and in order. Sources and sinks stay within their bounds. What was relayed, less what was
// wasted, is the length of the ways of all messages.
func TestBundlesInTheRain(t *testing.T) {
	for _, lose := range []float64{0, 0.002, 0.05} {
		t.Run(fmt.Sprint(lose), func(t *testing.T) { inTheRain(t, lose) })
	}
}

func inTheRain(t *testing.T, lose float64) {
	const n, port = 5, 130
	each := 20_000
	if lose > 0.01 {
		each = 4000
	}
	if testing.Short() || raceEnabled {
		each /= 10
	}
	s := &shower{t: t, lose: lose, plain: map[uint64]bool{20: true, 50: true}}
	var rains []rain
	limits := testLimits()
	limits.SendBuffer, limits.ReceiveBuffer, limits.LinkLow = 400<<10, 300<<10, 32<<10
	var mu sync.Mutex
	next := make(map[[2]uint64]uint64)
	var handled, crossed atomic.Int64
	pipe := func(testing.TB) (net.Conn, net.Conn) {
		near, far := memnet.Pipe()
		rains = append(rains, rain{near, s, &drops{rng: rand.New(rand.NewPCG(1, uint64(len(rains))))}})
		return rains[len(rains)-1], far
	}
	m := newMesh(t, n, 1, limits, pipe, func(node int) Deliver {
		return func(_ context.Context, d *Delivery) {
			lane := [2]uint64{d.Source, uint64(node)}
			mu.Lock()
			defer mu.Unlock()
			if err := expect(d.Body, next[lane]); err != nil || d.Port != port {
				t.Errorf("from %d at %d on port %d: %v", d.Source, node, d.Port, err)
			}
			next[lane]++
			handled.Add(1)
			crossed.Add(int64(d.Hops - 1))
		}
	})
	over := make(chan struct{})
	var watch, sources sync.WaitGroup
	watch.Go(func() {
		for {
			for _, p := range m.planes {
				c := p.Counters()
				if c.SendBuffer > int64(limits.SendBuffer)*5/4 || c.ReceiveBuffer > int64(limits.ReceiveBuffer) {
					t.Errorf("node %d keeps %d bytes for others, and %d from others", p.Self, c.SendBuffer, c.ReceiveBuffer)
				}
			}
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	for i, p := range m.planes {
		for j := range n {
			if i == j {
				continue
			}
			rng := rand.New(rand.NewPCG(uint64(i), uint64(j)))
			sources.Go(func() {
				for seq := range uint64(each) {
					if err := p.Send(t.Context(), m.planes[j].Self, port, stormy(rng, seq, 4+7*rng.IntN(20)/19)); err != nil {
						t.Error(err)
						return
					}
				}
				if failed, err := p.Flush(t.Context(), m.planes[j].Self); failed != nil || err != nil {
					t.Error(failed, err)
				}
			})
		}
	}
	sources.Wait()
	close(over)
	watch.Wait()
	all := int64(each * n * (n - 1))
	ways := int64(each * n * (1 + 2 + 3)) // relays on the way to the others
	var relayed, wasted int64
	eventually(t, "what was relayed is accounted for", func() bool { // the last copies may be under way
		relayed, wasted = 0, s.lost.Load()
		for _, p := range m.planes {
			a, b := p.Relays(port)
			relayed, wasted = relayed+a, wasted+b
		}
		for _, x := range rains {
			x.mu.Lock()
			if f := x.late; len(f) > 0 && f.Type() == wire.Data {
				wasted += int64(f.Messages()) * int64(f.Hops())
			}
			x.mu.Unlock()
		}
		return relayed-wasted == ways
	})
	var again, duplicates, frames int64
	for _, p := range m.planes {
		c := p.Counters()
		again, duplicates, frames = again+c.Retransmitted, duplicates+c.Duplicates, frames+c.FramesIn
		if c.Sent != int64(each*(n-1)) || c.Delivered != c.Sent || c.Dropped.Malformed+c.Dropped.Stale != 0 {
			t.Errorf("node %d: %+v", p.Self, c)
		}
	}
	if handled.Load() != all || crossed.Load() != ways {
		t.Errorf("%d of %d handled, which have crossed %d relays, want %d", handled.Load(), all, crossed.Load(), ways)
	}
	if frames >= all+relayed {
		t.Errorf("%d frames came for %d messages and %d relays: none are shared", frames, all, relayed)
	}
	if lose == 0 && again+duplicates > 0 {
		t.Errorf("%d sent again, %d duplicates", again, duplicates)
	}
	t.Logf("%d messages in %d frames, %d relayed, %d in vain, %d sent again, %d duplicates", all, frames, relayed, wasted, again, duplicates)
}
