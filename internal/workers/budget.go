package workers

import "time"

const (
	// checkInterval is the watchdog's. A shorter one is felt in the latency that all this
	// is for.
	checkInterval = 5 * time.Millisecond

	// often is how many small calls an interval must bring to start the watchdog. Fewer are
	// not worth its wakeups. Without it there are no inline calls.
	often = 16

	wakeup     = 20 * time.Microsecond // of a goroutine and its thread, about
	maxBalance = time.Millisecond
	maxDebt    = time.Second
)

// MaxHold is the longest time for which a call holds up its reader.
const MaxHold = 2 * checkInterval

// budget is the inline budget, see [Lender].
type budget struct{ balance time.Duration }

// allows reports whether readers may make calls.
func (b *budget) allows() bool { return b.balance > 0 }

// charge accounts for a small call.
func (b *budget) charge(took time.Duration) {
	if took >= MaxHold {
		b.balance = -maxDebt
		return
	}
	b.balance = max(-maxDebt, min(b.balance+wakeup-took, maxBalance))
}
