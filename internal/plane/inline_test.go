package plane

import (
	"context"
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// Readers call handlers once some calls by workers were quick.
func TestReadersCallHandlers(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		for i, inline := range r.inline {
			if inline != (i >= often) {
				t.Errorf("call %d was made by a reader: %v", i, inline)
			}
		}
		r.feed(castHere("panic"))
		r.feed(castHere("a message"), castHere("another"))
		if !r.last() || r.told("a message") != 1 || r.told("another") != 1 {
			t.Error("not handled, or not by the reader, after a panic")
		}
		r.feed(castHere(string(make([]byte, fewBytes)))) // there may be more to come
		if r.last() {
			t.Error("a reader calls handlers for a large read")
		}
		r.atRest()
		if !r.p.sched.watched {
			t.Error("no watchdog runs")
		}
	})
}

// The watchdog ends when there are few small calls, but not during an inline call.
func TestWatchEnds(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		watched := func() bool {
			r.p.sched.mu.Lock()
			defer r.p.sched.mu.Unlock()
			return r.p.sched.watched
		}
		for range 10 {
			for range often {
				r.feed(castHere(""))
			}
			time.Sleep(checkInterval)
			synctest.Wait()
			if !watched() {
				t.Fatal("the watchdog ends though there are calls")
			}
		}
		time.Sleep(2 * checkInterval)
		synctest.Wait()
		if watched() || r.p.sched.small != 0 {
			t.Error("the watchdog never ends")
		}
		for range 100 { // too few to be worth a watchdog
			r.feed(castHere(""))
			time.Sleep(checkInterval / (often - 2))
			if r.last() || watched() {
				t.Fatal("a reader calls handlers, or a watchdog runs, though there are few calls")
			}
		}
		time.Sleep(checkInterval)
		r.earn(often) // often enough again

		time.Sleep(checkInterval)
		for range often {
			r.feed(castHere(""))
		}
		time.Sleep(checkInterval)
		synctest.Wait()
		if !watched() {
			t.Error("the watchdog ends though there are calls")
		}
		r.feed(castHere("")) // one more, and no watchdog then
		time.Sleep(checkInterval)
		synctest.Wait()
		if watched() {
			t.Error("the watchdog runs on for one call")
		}
		r.earn(often)
		time.Sleep(checkInterval)
		r.feed(castHere("wait")) // the only call in its interval
		if !r.last() {
			t.Fatal("no reader has called")
		}
		time.Sleep(maxHold)
		r.feed(data(40, 1))
		r.arrived(40, 1)
		close(r.release)
	})
}

// Readers call slow handlers no more, until quick calls have paid back what the slow ones took.
func TestSlowHandlers(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		for range 1000 {
			r.feed(castHere("slow"))
			time.Sleep(10 * wakeup)
		}
		if r.last() {
			t.Error("a reader calls")
		}
		time.Sleep(2 * checkInterval)
		calls := payBack(-r.balance())
		for range calls - 1 {
			if r.feed(castHere("")); r.last() {
				t.Fatal("a reader calls before the debt is paid back")
			}
		}
		r.earn(1)
	})
}

// Inline calls count towards Limits.Handlers.
func TestReadersObeyTheLimit(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		other := r.readerWaits()
		defer other.Close()
		for _, later := range []time.Duration{0, 2 * checkInterval} { // while it is the reader, and when it no longer is
			time.Sleep(later)
			if _, err := other.Write(r.message(5, "wait")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if r.told("wait") != 1 {
				t.Error("two handlers at once")
			}
		}
		close(r.release)
		r.atRest()
		if r.told("wait") != 3 {
			t.Errorf("%d handled", r.told("wait"))
		}
	}, func(c *Config) { c.Handlers = 1 })
}

// A check before a call does not count: only the second one during the call stops it, and
// only once.
func TestLookBeforeACall(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		s := &r.p.sched
		check := func() (in int) {
			s.small = often // else the watchdog may end
			if !s.check(r.p.now()) {
				t.Fatal("the watchdog ends")
			}
			return len(s.calls)
		}
		l := r.endedLink()
		c := &inlineCall{link: l}
		for range 3 {
			c.seen = true // it was, in an earlier call
			check()
			l.ready = append(l.ready, &turn{})
			if s.enter(c) == nil {
				t.Fatal("no call is allowed")
			}
			if n := check(); n != 1 {
				t.Fatal("stopped by the first check")
			}
			if !s.leave(c, span{}) {
				t.Fatal("handed over by the first check")
			}
		}
		l.ready = append(l.ready, &turn{})
		s.enter(c)
		check()
		s.check(r.p.now())
		if len(s.calls) != 0 || s.budget.allows() {
			t.Error("not stopped by the second check")
		}
		s.check(r.p.now())
		if s.leave(c, span{}) {
			t.Error("its goroutine is still the reader")
		}
		r.atRest()
		s.watched = true
		r.forgive(-1)
		l.ready = append(l.ready, &turn{})
		if s.close(); s.enter(c) != nil {
			t.Error("a call begins after Close")
		}
	})
}

// Sweep does not let more handlers run than the limit.
func TestSweepObeysTheLimit(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		other := r.readerWaits()
		defer other.Close()
		if _, err := other.Write(r.message(5, "wait")); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.p.Sweep(false)
			synctest.Wait()
		}
		if r.told("wait") != 1 {
			t.Error("two handlers at once")
		}
		close(r.release)
		r.atRest()
		if r.told("wait") != 2 {
			t.Error("not handled")
		}
	}, func(c *Config) { c.Handlers = 1 })
}

// A message that fills a gap makes more ready than was read. Readers leave that to workers.
func TestReadersLeaveWhatWasHeld(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		first := r.message(5, "first")
		for range fewBytes / wire.HeaderSize {
			r.feed(r.message(5, "slow"))
		}
		r.earn(often)
		r.feed(append(first, data(40, 1)...))
		r.mu.Lock()
		clear(r.got) // answers about the gap
		r.mu.Unlock()
		r.feed(data(40, 2))
		r.arrived(40, 2)
		time.Sleep(time.Second)
		r.atRest()
		if n := r.told("slow"); n != fewBytes/wire.HeaderSize {
			t.Errorf("%d handled", n)
		}
	})
}

// Handlers that wait, block, yield and panic, called by readers and workers: each message is
// handled once and in order, and no more handlers run at once than may.
func TestHandlersOfAllKinds(t *testing.T) {
	const sources, messages, limit = 4, 3000, 3
	limits := testLimits()
	limits.Handlers = limit
	var m *mesh
	var running, most, wrong atomic.Int32
	var next [sources + 1]struct{ data, answers atomic.Uint64 }
	m = newMesh(t, sources+1, 0, limits, tcp, func(node int) Deliver {
		return func(ctx context.Context, d *Delivery) {
			n := binary.LittleEndian.Uint64(d.Body)
			from := int(d.Source)/10 - 1
			if node != sources {
				if next[node].answers.Add(1) != n+1 {
					wrong.Add(1)
				}
				return
			}
			if now := running.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer running.Add(-1)
			if next[from].data.Add(1) != n+1 {
				wrong.Add(1)
			}
			if err := m.planes[node].Send(ctx, d.Source, 0, d.Body); err != nil {
				t.Error(err)
			}
			switch {
			case n%1000 == 999:
				time.Sleep(3 * checkInterval)
			case n%100 == 99:
				m.planes[node].Await(ctx, d.Source)
			case n%10 == 9:
				runtime.Gosched()
			case n%501 == 500:
				panic("planted")
			}
		}
	})
	var wg sync.WaitGroup
	for i := range sources {
		wg.Go(func() {
			p, sink := m.planes[i], m.planes[sources].Self
			for n := range uint64(messages) {
				if err := p.Send(t.Context(), sink, 0, binary.LittleEndian.AppendUint64(nil, n)); err != nil {
					t.Error(err)
				}
				if n%3 == 0 { // else reads would be large
					p.Await(t.Context(), sink)
				}
			}
			p.Await(t.Context())
		})
	}
	wg.Wait()
	if err := m.planes[sources].Await(t.Context()); err != nil {
		t.Error(err)
	}
	for i := range sources {
		if d, a := next[i].data.Load(), next[i].answers.Load(); d != messages || a != messages {
			t.Errorf("of %d's messages %d were handled, and %d answers", i, d, a)
		}
	}
	if wrong.Load() > 0 || most.Load() > limit {
		t.Errorf("%d out of order, up to %d at once, want %d at most", wrong.Load(), most.Load(), limit)
	}
}
