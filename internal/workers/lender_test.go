package workers

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A reader makes calls once enough calls by workers were quick.
func TestReadersCall(t *testing.T) {
	withPool(t, 8, func(t *testing.T, r *rig) {
		d := r.reader()
		d.earn(often)
		for i, inline := range r.inline {
			if inline != (i >= often) {
				t.Errorf("call %d was made by a reader: %v", i, inline)
			}
		}
		before := r.ran()
		if d.feed(r.turn(nil), r.turn(nil), r.turn(nil)); r.ran() != before+3 || !r.last() {
			t.Errorf("%d calls, want 3, by the reader", r.ran()-before)
		}
		d.turns.Ready(r.turn(nil)) // it waits in another goroutine, and so does not read
		if d.turns.Leave(); len(d.turns.ready) != 0 {
			t.Error("not left to workers")
		}
		if r.atRest(); r.last() {
			t.Error("not called by a worker")
		}
	})
}

// A handler that blocks holds up its reader for 10 ms at most, and costs the pool its budget.
func TestHandlerThatWaits(t *testing.T) {
	withPool(t, 8, func(t *testing.T, r *rig) {
		d := r.reader()
		d.earn(often)
		for range 3 {
			r.release = make(chan struct{})
			if d.feed(r.waits(), r.turn(nil)); !r.last() {
				t.Fatal("no reader has called")
			}
			calls, read := r.ran(), d.read.Load()
			d.feed(r.turn(nil))
			if d.read.Load() != read || r.ran() != calls {
				t.Fatal("the reader does not wait")
			}
			time.Sleep(MaxHold)
			synctest.Wait()
			if d.read.Load() != read+1 || r.ran() != calls+2 || r.last() {
				t.Errorf("%d batches are read, %d calls made; or by a reader", d.read.Load()-read, r.ran()-calls)
			}
			if b := r.setBalance(0); b > 2*wakeup-maxDebt {
				t.Errorf("while it blocks the balance is %v", b)
			}
			close(r.release)
			r.atRest()
			if b := r.setBalance(-100 * wakeup); b != -maxDebt {
				t.Errorf("when it is over the balance is %v", b)
			}
			for range 100 {
				if d.quick(1) {
					t.Fatal("a reader calls all the same")
				}
			}
			d.earn(1)
		}
	})
}

// A call that gives way does not hold up its reader at all, and costs no budget.
func TestCallGivesWay(t *testing.T) {
	withPool(t, 8, func(t *testing.T, r *rig) {
		d := r.reader()
		d.earn(often)
		release := r.release
		var kept context.Context
		before := r.ran()
		d.feed(r.turn(func(ctx context.Context) {
			kept = ctx
			GiveWay(ctx)
			GiveWay(ctx) // changes nothing
			<-release
		}), r.turn(nil))
		if r.ran() != before+2 || r.last() {
			t.Error("what else was ready is not left to a worker")
		}
		if read := d.read.Load(); !d.quick(1) || d.read.Load() != read+1 {
			t.Error("it holds up the reader")
		}
		GiveWay(kept)      // of a call that the reader does not make any more
		GiveWay(r.Context) // of none
		close(r.release)
		r.atRest()
		if n := d.began.Load(); n != 2 {
			t.Errorf("%d goroutines have read, one after the other; want 2", n)
		}
		if !d.quick(1) {
			t.Error("it cost the budget")
		}
	})
}

// A call that was handed over ends only itself, not the call of the new reader.
func TestHandedOverCallEnds(t *testing.T) {
	withPool(t, 8, func(t *testing.T, r *rig) {
		d := r.reader()
		d.earn(often)
		d.feed(r.waits())
		time.Sleep(MaxHold)
		synctest.Wait()
		r.setBalance(0)
		d.earn(often)
		first := r.release
		r.release = make(chan struct{})
		if d.feed(r.waits()); !r.last() {
			t.Fatal("no reader has called")
		}
		close(first)
		synctest.Wait()
		if r.mu.Lock(); len(r.calls) != 1 {
			t.Errorf("%d inline calls are in progress, want one", len(r.calls))
		}
		r.mu.Unlock()
		read := d.read.Load()
		if d.feed(r.turn(nil)); d.read.Load() != read {
			t.Error("the new reader does not wait")
		}
		close(r.release)
		r.atRest()
		if d.read.Load() != read+1 {
			t.Error("the new reader does not read on")
		}
	})
}

// A handler that ends its goroutine, as t.Fatal does, ends no reader, and keeps no place.
func TestHandlerThatExits(t *testing.T) {
	withPool(t, 1, func(t *testing.T, r *rig) {
		exits := func(context.Context) { runtime.Goexit() }
		d := r.reader()
		d.earn(often)
		if d.feed(r.turn(exits)); !r.last() {
			t.Fatal("no reader has called")
		}
		r.atRest()
		before := r.ran()
		if d.quick(1); r.ran() != before+1 {
			t.Error("the reader has ended")
		}
		r.setBalance(-maxDebt)
		if d.feed(r.turn(exits), r.turn(nil)); r.last() || r.ran() != before+3 {
			t.Error("a worker's exit ends the others, or a reader has called")
		}
		r.atRest()
	})
}

// Calls by readers count towards the limit.
func TestReadersObeyTheLimit(t *testing.T) {
	withPool(t, 1, func(t *testing.T, r *rig) {
		d, other := r.reader(), r.reader()
		d.earn(often)
		d.feed(r.waits())
		before := r.ran()
		for _, later := range []time.Duration{0, MaxHold} { // while it is the reader, and when it no longer is
			time.Sleep(later)
			r.setBalance(maxBalance)
			if other.feed(r.turn(nil)); r.ran() != before {
				t.Error("two turns at once")
			}
		}
		close(r.release)
		r.atRest()
		if r.ran() != before+2 {
			t.Errorf("%d turns ran, want two", r.ran()-before)
		}
	})
}

// In the long run neither workers nor readers allocate for a turn.
func TestTurnsAllocateNothing(t *testing.T) {
	withPool(t, 8, func(t *testing.T, r *rig) {
		d := r.reader()
		d.earn(often)
		turns := []*Turn{{Run: func(context.Context) Span { return Span{From: 1, To: 2} }}, {Run: func(context.Context) Span { return Span{} }}}
		r.watched = true
		byReader := r.Lender(func() { t.Error("handed over") })
		if n := testing.AllocsPerRun(100, func() {
			byReader.Ready(turns[0])
			byReader.Ready(turns[1])
			byReader.Call()
		}); n != 0 {
			t.Errorf("a reader's calls allocate %v times", n)
		}
		if n := testing.AllocsPerRun(100, func() {
			r.Push(turns...)
			synctest.Wait()
		}); n > 1 { // a goroutine may be new
			t.Errorf("a worker's calls allocate %v times", n)
		}
	})
}
