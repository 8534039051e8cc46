// Package runcount counts messages by traffic run.
//
// Each run has its own port, which is used again 128 runs later. Messages of no run count together.
// The total never goes back, and counts each message once, while counts are taken.
package runcount

import (
	"sync"
	"sync/atomic"
)

// First is the lowest port of traffic runs. Ports below it are the handlers'.
const First = 128

// Counter is a count by port. Its zero value is ready. All methods may be called at the same time.
// The counts of runs take 1 KiB and are made for the first message of a run.
type Counter struct {
	others atomic.Int64                              // of no run
	runs   atomic.Pointer[[256 - First]atomic.Int64] // by port

	mu    sync.Mutex // guards what follows; a leaf
	taken int64      // out of runs
}

// Add counts n messages. It takes no lock, since readers call it once a batch.
func (c *Counter) Add(port uint8, n int64) {
	if port < First {
		c.others.Add(n)
		return
	}
	runs := c.runs.Load()
	for runs == nil {
		c.runs.CompareAndSwap(nil, new([256 - First]atomic.Int64))
		runs = c.runs.Load()
	}
	runs[port-First].Add(n)
}

// Take returns the count of a run, by its port, and resets it.
func (c *Counter) Take(port uint8) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.Of(port)
	if n > 0 {
		c.runs.Load()[port-First].Add(-n)
		c.taken += n
	}
	return n
}

// Of returns the count of a run, by its port. It is 0 for the port of no run.
func (c *Counter) Of(port uint8) int64 {
	runs := c.runs.Load()
	if runs == nil || port < First {
		return 0
	}
	return runs[port-First].Load()
}

// Total is the count of all messages since the start.
func (c *Counter) Total() int64 {
	c.mu.Lock() // so that what moves from runs to taken is not missed
	defer c.mu.Unlock()
	sum := c.others.Load() + c.taken
	if runs := c.runs.Load(); runs != nil {
		for i := range runs {
			sum += runs[i].Load()
		}
	}
	return sum
}
