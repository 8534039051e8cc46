package workers

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// isWatched reports whether the watchdog runs.
func (r *rig) isWatched() bool {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watched
}

// The watchdog ends when there are few small calls, but not during an inline call.
func TestWatchEnds(t *testing.T) {
	withPool(t, 8, func(t *testing.T, r *rig) {
		d := r.reader()
		d.earn(often)
		for range 10 {
			d.quick(often)
			time.Sleep(checkInterval)
			if !r.isWatched() {
				t.Fatal("the watchdog ends though there are calls")
			}
		}
		time.Sleep(2 * checkInterval)
		if r.isWatched() || r.small != 0 {
			t.Error("the watchdog never ends")
		}
		for range 100 { // too few to be worth a watchdog
			inline := d.quick(1)
			time.Sleep(checkInterval / (often - 2))
			if inline || r.isWatched() {
				t.Fatal("a reader makes calls, or a watchdog runs, though there are few calls")
			}
		}
		time.Sleep(checkInterval)
		d.earn(often) // often enough again

		time.Sleep(checkInterval)
		d.quick(often)
		time.Sleep(checkInterval)
		if !r.isWatched() {
			t.Error("the watchdog ends though there are calls")
		}
		d.quick(1) // one more, and no watchdog then
		time.Sleep(checkInterval)
		if r.isWatched() {
			t.Error("the watchdog runs on for one call")
		}
		d.earn(often)
		time.Sleep(checkInterval)
		if d.feed(r.waits()); !r.last() { // the only call in its interval
			t.Fatal("no reader has called")
		}
		read := d.read.Load()
		time.Sleep(MaxHold)
		if d.quick(1); d.read.Load() != read+1 {
			t.Error("it still holds up its reader")
		}
		close(r.release)
		r.atRest()
	})
}

// Readers make slow calls no more, until quick ones have paid back what the slow ones took.
func TestSlowHandlers(t *testing.T) {
	withPool(t, 8, func(t *testing.T, r *rig) {
		d := r.reader()
		d.earn(often)
		slow := r.turn(func(context.Context) { time.Sleep(5 * wakeup) })
		for range 1000 {
			d.feed(slow)
			time.Sleep(10 * wakeup)
		}
		if r.last() {
			t.Error("a reader calls")
		}
		time.Sleep(2 * checkInterval)
		balance := r.setBalance(0)
		r.setBalance(balance)
		for range payBack(-balance) - 1 {
			if d.quick(1) {
				t.Fatal("a reader calls before the debt is paid back")
			}
		}
		d.earn(1)
	})
}

// A check before a call does not count: only the second one during the call stops it, and
// only once.
func TestLookBeforeACall(t *testing.T) {
	withPool(t, 8, func(t *testing.T, r *rig) {
		r.reader().earn(often)
		check := func() (in int) {
			r.small = often // else the watchdog may end
			if !r.check(r.Now()) {
				t.Fatal("the watchdog ends")
			}
			return len(r.calls)
		}
		readers := 0
		l := r.Lender(func() { readers++ })
		c := &call{lender: &l}
		for range 3 {
			c.seen = true // it was, in an earlier call
			check()
			l.Ready(&Turn{})
			if r.enter(c) == nil {
				t.Fatal("no call is allowed")
			}
			if n := check(); n != 1 {
				t.Fatal("stopped by the first check")
			}
			if !r.leave(c, Span{}) {
				t.Fatal("handed over by the first check")
			}
		}
		l.Ready(&Turn{})
		r.enter(c)
		check()
		r.check(r.Now())
		if len(r.calls) != 0 || r.budget.allows() {
			t.Error("not stopped by the second check")
		}
		r.check(r.Now())
		if r.leave(c, Span{}) {
			t.Error("its goroutine is still the reader")
		}
		if r.atRest(); readers != 1 {
			t.Errorf("%d goroutines read on", readers)
		}
		r.watched = true
		r.setBalance(wakeup)
		l.Ready(&Turn{})
		if r.Close(); r.enter(c) != nil {
			t.Error("a call begins after Close")
		}
	})
}

// A call that blocks a worker costs as much as one that blocks a reader.
func TestWorkersCallThatBlocks(t *testing.T) {
	withPool(t, 8, func(t *testing.T, r *rig) {
		d := r.reader()
		d.earn(often)
		r.setBalance(0)
		if d.feed(r.waits()); r.last() {
			t.Fatal("a reader calls")
		}
		time.Sleep(MaxHold)
		close(r.release)
		r.atRest()
		if b := r.setBalance(0); b != -maxDebt {
			t.Errorf("the balance is %v, want %v", b, -maxDebt)
		}
	})
}

// Several calls that block at once cost as much as one.
func TestBlockedCallsCountOnce(t *testing.T) {
	withPool(t, 8, func(t *testing.T, r *rig) {
		d, other := r.reader(), r.reader()
		d.earn(often)
		before := r.ran()
		d.feed(r.waits())
		other.feed(r.waits())
		if r.ran() != before+2 || !r.last() {
			t.Fatal("no reader has called")
		}
		time.Sleep(MaxHold)
		synctest.Wait()
		r.mu.Lock()
		b := r.budget.balance
		r.mu.Unlock()
		if b != -maxDebt {
			t.Errorf("the balance is %v, want %v", b, -maxDebt)
		}
		close(r.release)
		r.atRest()
		if b := r.setBalance(0); b != -maxDebt {
			t.Errorf("when they are over the balance is %v, want %v", b, -maxDebt)
		}
	})
}
