package check

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/examples/kv/store"
)

var (
	worlds    = flag.Int("worlds", 300, "how many worlds TestZones tries")
	firstSeed = flag.Uint64("seed", 1, "the first one")
)

// Requests to a key are linearizable, and none that was answered is lost, while up to two of its three owners at once are
// declared dead, rightly or not, and owners move.
func TestZones(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*worlds); seed++ {
		h := new(history)
		synctest.Test(t, func(t *testing.T) { runZones(seed, h) })
		if wrong := h.check(); wrong != "" {
			t.Fatalf("-seed %d: %s", seed, wrong)
		}
	}
}

func runZones(seed uint64, h *history) {
	stop, end := context.WithCancel(context.Background())
	z := newZones(seed, stop)
	over := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			c := &caller{z: z}
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				z.client(c, h, i, fmt.Sprintf("%d.%d", i, n))
			}
		})
	}
	for range 6 {
		time.Sleep(time.Duration(z.below(1500)) * time.Millisecond)
		first, both := z.below(3), z.below(2) == 0
		z.die(first, z.below(2) == 0)
		if both {
			if z.below(2) == 0 {
				z.pause()
			}
			z.die((first+1+z.below(2))%3, z.below(2) == 0)
		}
		for {
			if z.below(3) == 0 {
				z.move(z.below(3))
			}
			c := &caller{z: z}
			ctx, cancel := context.WithTimeout(stop, 3*time.Second)
			_, err := c.request(ctx, store.Request{Kind: store.Refresh})
			cancel()
			if err == nil && z.whole() {
				break
			}
		}
		if z.below(2) == 0 {
			z.settle()
		}
	}
	close(over)
	clients.Wait()
	last := &caller{z: z}
	h.do(9, "key", store.Request{Kind: store.Get}, func() (store.Answer, error) {
		ctx, cancel := context.WithTimeout(stop, time.Minute)
		defer cancel()
		return last.request(ctx, store.Request{Kind: store.Get})
	})
	end()
	z.running.Wait()
}

// client does one request.
func (z *zones) client(c *caller, h *history, number int, value string) {
	ctx, cancel := context.WithTimeout(z.stop, 3*time.Second)
	defer cancel()
	time.Sleep(time.Duration(z.below(100)) * time.Millisecond)
	r := store.Request{Kind: store.Get}
	switch z.below(4) {
	case 0:
		r = store.Request{Kind: store.Put, New: value}
	case 1:
		a, err := c.request(ctx, r)
		if err != nil {
			return
		}
		r = store.Request{Kind: store.Swap, Old: a.Value, New: value}
	}
	h.do(number, "key", r, func() (store.Answer, error) { return c.request(ctx, r) })
}
