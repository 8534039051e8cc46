package rpc

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
)

// All nodes call all others at full windows, and handlers call back, down to a depth of three. Nodes
// handle two requests at a time. If answers travelled with the requests, that would stand still.
func TestAllToAllPassesTheBounds(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared=", shared), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.window, w.shared = 100, shared
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				failed, handled := allToAll(ctx, w)
				if late := failed > 0; late != shared {
					t.Errorf("%d calls failed", failed)
				}
				if want := 4 * 4 * 25 * 4; !shared && handled != want {
					t.Errorf("%d requests were handled, not %d", handled, want)
				}
			})
		})
	}
}

// allToAll makes 25 calls from each of four nodes to each.
func allToAll(ctx context.Context, w *world) (failed, handled int) {
	var all []*Endpoint
	hop := Method[int, int]("hop")
	var runs, late atomic.Int64
	for id := range ringdht.ID(4) {
		all = append(all, w.join(id, func(e *Endpoint) {
			hop.Handle(e, func(ctx context.Context, left int) (int, error) {
				runs.Add(1)
				if left == 0 {
					return 0, nil
				}
				n, err := hop.Call(ctx, e, FromContext(ctx).Peer, left-1)
				return n + 1, err
			})
		}, WithConcurrency(2)))
	}
	var wg sync.WaitGroup
	for _, e := range all {
		for to := range ringdht.ID(4) {
			for range 25 {
				wg.Go(func() {
					if n, err := hop.Call(ctx, e, to, 3); n != 3 || err != nil {
						late.Add(1)
					}
				})
			}
		}
	}
	wg.Wait()
	return int(late.Load()), int(runs.Load())
}
