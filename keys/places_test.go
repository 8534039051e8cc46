package keys

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// All places are held by a handler that calls a key, and messages that wait for a place are in front of
// its call: they run beside it, those that came before the call and behind it.
func TestMessagesInFrontOfACallNeedNoPlace(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		calls := make(chan struct{})
		r.handle = func(p *member, ctx context.Context, key string, _ *tally, s step) error {
			if key != "front" {
				return nil
			}
			<-calls
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			_, err := add.Call(ctx, p.space, "back", step{key, s.N})
			return err
		}
		owner := r.start(1)[0]
		client := r.join(r.make(5, false))
		var all sync.WaitGroup
		front, back := client.source("front"), client.source("back")
		all.Go(func() { front.call(1) })
		synctest.Wait()
		back.send(5) // these wait for the place that the handler has
		synctest.Wait()
		if n := owner.space.Counters().Waited; n == 0 {
			t.Error("no message waits for a place")
		}
		close(calls)
		all.Wait()
		client.flush()
		front.checkExact()
		back.checkExact()
	}, WithConcurrency(1))
}
