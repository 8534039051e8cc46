package keys

import (
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var movesFor = flag.Duration("moves", 2*time.Second, "how long TestMovesHoldUp lets owners come and go for each size, such as 60s")

// How long a move holds a key up: the time from the end of the last handler before it to the begin of the
// first one behind it, over TCP, when each key has a caller that calls again at once.
//
//	go test -run MovesHoldUp -v ./keys -moves 60s
func TestMovesHoldUp(t *testing.T) {
	for _, size := range []int{1 << 10, 1 << 20} {
		t.Run(fmt.Sprint(size>>10, " KiB"), func(t *testing.T) {
			c := newCrowd(t, false, 16, 1)
			c.fill = size
			c.populate(3)
			c.joinSource(0, false)
			var over atomic.Bool
			var callers sync.WaitGroup
			for key := range c.keys {
				callers.Go(func() {
					for !over.Load() {
						c.sources[0].call(key)
						time.Sleep(time.Millisecond) // 16 callers alone would fill the processors
					}
				})
			}
			moves := 0
			for began := time.Now(); time.Since(began) < *movesFor; moves++ {
				c.join(true)
				c.leave(c.draw(3))
			}
			over.Store(true)
			callers.Wait()
			c.judge.mu.Lock()
			defer c.judge.mu.Unlock()
			t.Logf("%d joins and as many leaves: states of %d KiB were held up: %s", moves, size>>10, quantiles(c.judge.gaps))
			t.Logf("calls: %s", quantiles(c.sources[0].calls))
			for _, f := range c.judge.faults {
				t.Error(f)
			}
			if len(c.judge.gaps) == 0 {
				t.Error("no key has moved")
			}
		})
	}
}
