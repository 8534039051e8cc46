package plane

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/reentry"
	"github.com/x/ringdht/internal/wire"
)

// Handlers are inside, by their stack and by their context, called by a worker or a reader.
func TestHandlersAreInside(t *testing.T) {
	owner := reentry.NewOwner()
	byWorkers, byReaders := 0, 0
	withRig(t, func(t *testing.T, r *rig) {
		byWorkers, byReaders = 0, 0
		for range 200 { // readers begin to call after some
			r.feed(wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 5}, nil))
		}
		if byWorkers == 0 || byReaders == 0 {
			t.Errorf("workers have called a handler %d times, readers %d times", byWorkers, byReaders)
		}
	}, func(c *Config) {
		c.Owner = owner
		c.Deliver = func(ctx context.Context, d *Delivery) {
			if byReader(ctx.Value(handlerKey{}).(*Plane), ctx) {
				byReaders++
			} else {
				byWorkers++
			}
			if !reentry.Inside(owner) || reentry.Inside(owner+1) || OwnerOf(ctx) != owner || OwnerOf(context.Background()) != 0 {
				t.Error("a handler is not inside")
			}
		}
	})
}

// The stack logged for a panic in the user's code is whole, but for the functions that stand
// for digits.
func TestStackOfAPanicIsWithoutDigits(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.feed(wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 5}, nil))
		r.lost(40, "a")
		synctest.Wait()
		if n := r.p.Counters().Panics; n != 2 { // one of a handler, one of the callback
			t.Fatalf("%d panics, want 2", n)
		}
		logged := strings.Join(r.logs.all(), "")
		for _, no := range []string{"reentry.digit", "reentry.Call", "reentry.go"} {
			if strings.Contains(logged, no) {
				t.Errorf("%q is in the log:\n%s", no, logged)
			}
		}
		for _, want := range []string{"goroutine ", "panicsAsAHandler(", "panicsAsACallback(", "reentry_test.go:", "(*Plane).callHandler(", "(*Group).work(", "(*Plane).callBack("} {
			if !strings.Contains(logged, want) {
				t.Errorf("%q is not in the log:\n%s", want, logged)
			}
		}
	}, func(c *Config) {
		c.Owner = 0x123456789abcdef0
		c.Deliver = panicsAsAHandler
		c.Services = telling(panicsAsACallback)
	})
}

func panicsAsAHandler(context.Context, *Delivery) { panic("test") }
func panicsAsACallback(Undelivered)               { panic("test") }
