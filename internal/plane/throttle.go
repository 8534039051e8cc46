package plane

import (
	"sync"
	"time"
)

// Relays do not wait for links, nor readers for handlers. But a reader that goes on when
// a queue that it fills is more than half full, or the inbox of casts a quarter, only
// reads what is then dropped, and takes the processor from who would empty the queue: with
// three relays on two processors half of all casts were lost. So a reader rests a little
// for each share of what it has given to such a queue; TCP then slows down who sends, as it
// does where nobody relays.
//
// What that costs the rest of what comes over the same connection is bounded: there is no
// more than one respite, of all readers together, for each share that has left the
// queue, and credit of them. So nobody waits for what stands still, and a reader
// gives to a queue at least what leaves it. A respite takes a timer's grain, which is up
// to a millisecond where the process is idle.
//
// Between respites it offers the processor to others. That alone does not help much: it
// goes to those that wait for the same one, while the goroutine that matters may wait for
// another; and with all of them busy the runtime looks seldom which connections can be
// written to.
const (
	throttlePause = 50 * time.Microsecond
	quantum       = 32 << 10 // bytes
	maxOwed       = 64       // half of the usual queue
)

// pace says when a queue gets a respite.
type throttle struct {
	mu      sync.Mutex
	drained int64 // bytes that had left the queue when it was last counted
	owed    int   // respites that it got and has not paid for
}

// moves says whether to give a respite to a queue that so many bytes have ever left. Who
// counted them earlier than another may ask later.
func (t *throttle) allowPause(left int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	paid := max(0, left-t.drained) / quantum
	t.drained += paid * quantum
	t.owed = int(max(0, int64(t.owed)-paid))
	if t.owed == maxOwed {
		return false
	}
	t.owed++
	return true
}

// press notes that a queue that fills up was given bytes.
func (rc *inLink) slowDown(c *throttle, left int64, bytes int) {
	rc.crowded = true
	if rc.crowdedBytes += bytes; rc.crowdedBytes >= quantum {
		rc.crowdedBytes = 0
		rc.mustPause = c.allowPause(left) || rc.mustPause
	}
}
