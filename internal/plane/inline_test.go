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
	"github.com/x/ringdht/internal/workers"
)

// Readers call handlers once some calls by workers were quick.
func TestReadersCallHandlers(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		if r.inline[0] {
			t.Error("a reader makes the first call of all")
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
	})
}

// Inline calls count towards Limits.Handlers.
func TestReadersObeyTheLimit(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		other := r.readerWaits()
		defer other.Close()
		for _, later := range []time.Duration{0, workers.MaxHold} { // while it is the reader, and when it no longer is
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
		synctest.Wait()
		if r.told("wait") != 3 {
			t.Errorf("%d handled", r.told("wait"))
		}
	}, func(c *Config) { c.Handlers = 1 })
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
		synctest.Wait()
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
		r.earn()
		r.feed(append(first, data(40, 1)...))
		r.mu.Lock()
		clear(r.got) // answers about the gap
		r.mu.Unlock()
		r.feed(data(40, 2))
		r.arrived(40, 2)
		time.Sleep(time.Second)
		synctest.Wait()
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
				time.Sleep(2 * workers.MaxHold)
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
