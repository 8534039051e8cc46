package link

import (
	"sync"
	"time"
)

// Pause is the length of a pause, and Quantum the bytes for which one is due.
const (
	Pause   = 50 * time.Microsecond
	Quantum = 32 << 10 // bytes

	maxOwed = 64 // half of the usual queue
)

// Throttle decides when a crowded queue pauses its readers.
//
// A reader pauses while a queue that it fills is crowded: the queue of a link above a half, the
// inbox of casts above a quarter. Without that it would read only what is dropped then, and take
// the processor from the goroutines that empty the queue: with three relays on two processors,
// half of all casts were lost. A pause is due for each quantum of bytes offered to such a queue.
// TCP then slows down the sender, as it does where no node relays.
//
// The cost to other frames of the connection is bounded. A queue grants one pause, to all readers
// together, for each quantum that leaves it, and maxOwed of them in advance. So a queue that
// stands still soon delays nothing, and a reader offers a queue at least what leaves it. A pause
// is as long as the timer's resolution, which is up to a millisecond in an idle process.
//
// Between pauses the reader yields its processor. That alone does not help much: the processor
// goes to goroutines that wait for the same one, while the one that matters may wait for another,
// and when all are busy the runtime seldom polls which connections can be written to.
type Throttle struct {
	mu      sync.Mutex
	drained int64 // bytes that had left the queue at the last decision, in whole quanta
	owed    int   // pauses granted ahead of quanta that will leave
}

// Allow reports whether a reader may pause for a queue. drained is the number of bytes that
// have ever left the queue. Readers may call it in another order than they counted.
func (t *Throttle) Allow(drained int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	paid := max(0, drained-t.drained) / Quantum
	t.drained += paid * Quantum
	t.owed = int(max(0, int64(t.owed)-paid))
	if t.owed == maxOwed {
		return false
	}
	t.owed++
	return true
}
