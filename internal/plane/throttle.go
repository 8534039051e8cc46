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
	respite = 50 * time.Microsecond
	share   = 32 << 10 // bytes
	credit  = 64       // half of the usual queue
)

// pace says when a queue gets a respite.
type pace struct {
	mu   sync.Mutex
	left int64 // bytes that had left the queue when it was last counted
	used int   // respites that it got and has not paid for
}

// moves says whether to give a respite to a queue that so many bytes have ever left. Who
// counted them earlier than another may ask later.
func (c *pace) moves(left int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	paid := max(0, left-c.left) / share
	c.left += paid * share
	c.used = int(max(0, int64(c.used)-paid))
	if c.used == credit {
		return false
	}
	c.used++
	return true
}

// press notes that a queue that fills up was given bytes.
func (rc *reception) press(c *pace, left int64, bytes int) {
	rc.crowded = true
	if rc.pressed += bytes; rc.pressed >= share {
		rc.pressed = 0
		rc.rest = c.moves(left) || rc.rest
	}
}
