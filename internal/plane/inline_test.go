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

// Handlers that were quick are called by who reads, and by others before.
func TestReadersCallHandlers(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		for i, inline := range r.inline {
			if inline != (i >= firstProbation) {
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
			t.Error("a reader calls handlers for large pieces")
		}
		r.atRest()
		if !r.p.sched.watching {
			t.Error("nobody looks")
		}
	})
}

// Who waits in vain for calls goes.
func TestWatchEnds(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		watching := func() bool {
			r.p.sched.mu.Lock()
			defer r.p.sched.mu.Unlock()
			return r.p.sched.watching
		}
		for range 10 {
			for range often {
				r.feed(castHere(""))
			}
			time.Sleep(lookInterval)
			synctest.Wait()
			if !watching() {
				t.Fatal("looking ends though there are calls")
			}
		}
		time.Sleep(2 * lookInterval)
		synctest.Wait()
		if watching() || r.p.sched.watched != nil {
			t.Error("looking goes on for ever")
		}
		for range 100 { // now and then: not worth looking
			r.feed(castHere(""))
			time.Sleep(lookInterval / (often - 2))
			if r.last() || watching() {
				t.Fatal("a reader calls handlers, or somebody looks, though there is little to do")
			}
		}
		time.Sleep(lookInterval)
		r.earn(often) // often enough again

		other := r.incoming(11, 1)
		defer other.Close()
		for range often {
			if _, err := other.Write(castHere("")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		time.Sleep(lookInterval)
		for range often {
			r.feed(castHere(""))
		}
		time.Sleep(lookInterval)
		synctest.Wait()
		if n := len(r.p.sched.watched); n != 1 {
			t.Errorf("%d connections are looked at, one has brought calls lately", n)
		}
		r.feed(castHere("")) // one more, and then nobody looks
		time.Sleep(lookInterval)
		synctest.Wait()
		if watching() {
			t.Error("somebody looks though there is little to do")
		}
		r.earn(often)
		r.feed(castHere("wait"))
		time.Sleep(2 * lookInterval)
		r.feed(data(40, 1))
		r.arrived(40, 1)
		close(r.release)
	})
}

// Those who compute too long are not called by readers any more, until they are quicker.
func TestSlowHandlers(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		for range 1000 {
			r.feed(castHere("slow"))
			time.Sleep(10 * quick)
		}
		if r.last() {
			t.Error("a reader calls")
		}
		time.Sleep(2 * lookInterval)
		r.earn(int(maxDebt/quick) + 1)
	})
}

// Calls by readers count towards the limit.
func TestReadersObeyTheLimit(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		other := r.readerWaits()
		defer other.Close()
		for _, later := range []time.Duration{0, 2 * lookInterval} { // while it reads, and when it does not any more
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

// A look that comes just before a call that lasts, when the connection has brought none for
// a while, does not lose sight of it.
func TestLookBeforeACall(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		s := &r.p.sched
		rc := r.reception()
		s.calling++ // another reader is in a call
		s.look(r.p.now())
		s.look(r.p.now())
		if len(s.watched) != 0 {
			t.Fatal("it is looked at though it has brought nothing")
		}
		rc.ready = append(rc.ready, &turn{})
		found := 0
		if _, call := s.enter(rc); call%2 == 0 {
			t.Fatal("not let")
		}
		for range 3 {
			all, again := s.look(r.p.now())
			if found += len(all); !again {
				t.Error("nobody looks any more")
			}
		}
		if found != 1 {
			t.Errorf("found %d times", found)
		}
		s.leave(rc, rc.call.Load(), span{})
		s.calling--
	})
}

// Nor does Sweep let one more handler run than may.
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

// A message that fills a gap brings more to handle than was read: that is not for readers.
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

// Handlers of all kinds, called by readers and by others: everything is handled once and in
// order, and no more at once than may be.
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
				time.Sleep(3 * lookInterval)
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
				if n%3 == 0 { // else they would come in large pieces
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
