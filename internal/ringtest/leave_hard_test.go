package ringtest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// flooder sends to others as fast as they take it, and counts what it handles by source,
// which must come in order.
type flooder struct {
	n      *ringdht.Node
	id     ringdht.ID                                   // at first
	closed error                                        // what Close has returned, if something has called it
	pace   time.Duration                                // between bursts of 10, 0: as fast as it goes
	during func(ctx context.Context, m ringdht.Message) // also called by the handler

	mu   sync.Mutex
	next map[ringdht.ID]uint64
	bad  int
	sent map[ringdht.ID]uint64
}

func (f *flooder) handle(ctx context.Context, m ringdht.Message) {
	if len(m.Body) != 8 {
		return
	}
	i := binary.BigEndian.Uint64(m.Body)
	f.mu.Lock()
	if i != f.next[m.Source] {
		f.bad++
	}
	f.next[m.Source] = i + 1
	f.mu.Unlock()
	if f.during != nil {
		f.during(ctx, m)
	}
}

func newFlooder(tr *ringtest.Ring, during func(ctx context.Context, m ringdht.Message), opts ...ringdht.NodeOption) *flooder {
	f := &flooder{during: during, next: make(map[ringdht.ID]uint64), sent: make(map[ringdht.ID]uint64)}
	f.n = tr.Join(f.handle, opts...)
	f.id = f.n.ID()
	return f
}

// flood sends to a sink until that is gone, or the node.
func (f *flooder) flood(ctx context.Context, to ringdht.ID) error {
	for i := uint64(0); ; i++ {
		if f.pace > 0 && i%10 == 9 {
			time.Sleep(f.pace)
		}
		err := f.n.Send(ctx, to, binary.BigEndian.AppendUint64(nil, i))
		switch {
		case errors.Is(err, ringdht.ErrGone), errors.Is(err, ringdht.ErrNoSuchNode), errors.Is(err, ringdht.ErrReset), errors.Is(err, ringdht.ErrEvicted), errors.Is(err, ringdht.ErrNotMember), errors.Is(err, ringdht.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		f.mu.Lock()
		f.sent[to] = i + 1
		f.mu.Unlock()
	}
}

// floodAll has all of them flood each other, and returns when each has sent some. wait
// waits until nobody sends any more.
func floodAll(t *testing.T, ctx context.Context, all ...*flooder) (wait func()) {
	var wg sync.WaitGroup
	for _, f := range all {
		for _, to := range all {
			if f != to {
				id := to.n.ID()
				wg.Go(func() {
					if err := f.flood(ctx, id); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	for _, f := range all {
		for _, to := range all {
			id := to.n.ID()
			for f != to {
				f.mu.Lock()
				n := f.sent[id]
				f.mu.Unlock()
				if n >= 100 {
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	return wg.Wait
}

// settleUp holds what a node was told of its messages to a sink against what that handled:
// all of both is what was sent, and nothing has an unknown outcome.
func settleUp(t *testing.T, f, to *flooder, toID ringdht.ID, err error) {
	t.Helper()
	back, unknown := uint64(0), uint64(0)
	var lost *ringdht.UndeliveredError
	if errors.As(err, &lost) {
		for _, u := range lost.Streams {
			if u.Sink == toID {
				back += u.NotHandled
				unknown += u.Messages - u.NotHandled
			}
		}
	}
	f.mu.Lock()
	sent := f.sent[toID]
	f.mu.Unlock()
	to.mu.Lock()
	got, bad := to.next[f.id], to.bad
	to.mu.Unlock()
	if got+back != sent || unknown > 0 || bad > 0 {
		t.Errorf("from %d to %d: of %d messages %d were handled, %d came back, %d have no known outcome, %d came twice or out of order: %v",
			f.id, toID, sent, got, back, unknown, bad, err)
	}
}

// nothingSilent is settleUp where messages may have no known outcome: what a node was not
// told of was handled, and what it was told as not handled was not.
func nothingSilent(t *testing.T, f, to *flooder, toID ringdht.ID, err error) {
	t.Helper()
	back, unknown := uint64(0), uint64(0)
	var lost *ringdht.UndeliveredError
	if errors.As(err, &lost) {
		for _, u := range lost.Streams {
			if u.Sink == toID {
				back += u.NotHandled
				unknown += u.Messages - u.NotHandled
			}
		}
	}
	f.mu.Lock()
	sent := f.sent[toID]
	f.mu.Unlock()
	to.mu.Lock()
	got, bad := to.next[f.id], to.bad
	to.mu.Unlock()
	if got+back > sent || got+back+unknown < sent || bad > 0 {
		t.Errorf("from %d to %d: of %d messages %d were handled, %d came back, %d have no known outcome, %d came twice or out of order: %v",
			f.id, toID, sent, got, back, unknown, bad, err)
	}
}

// only returns what else an error says than messages that were not delivered.
func only(err error) error {
	var lost *ringdht.UndeliveredError
	if errors.As(err, &lost) && err.Error() == lost.Error() {
		return nil
	}
	return err
}

func overBoth(t *testing.T, f func(t *testing.T, mem *memnet.Network)) {
	for name, mem := range map[string]*memnet.Network{"memory": memnet.New(1), "tcp": nil} {
		t.Run(name, func(t *testing.T) { f(t, mem) })
	}
}

// Nodes that flood each other leave at the same moment, with ample limits and with hardly
// any, while handlers panic, wait a little, and send to their own node.
func TestNodesThatFloodEachOtherLeaveAtOnce(t *testing.T) {
	overBoth(t, func(t *testing.T, mem *memnet.Network) {
		for name, limits := range map[string]ringdht.Limits{"ample": {}, "tiny": {SendBuffer: 64 << 10, ReceiveBuffer: 64 << 10, HandlerBacklog: 4 << 10, Streams: 3, Handlers: 1}} {
			t.Run(name, func(t *testing.T) {
				tr := ringtest.New(t, mem, ringdht.WithMaxPayload(1<<10))
				var all []*flooder
				self := make(map[int]*atomic.Pointer[ringdht.Node])
				for i := range 3 {
					self[i] = new(atomic.Pointer[ringdht.Node])
					f := newFlooder(tr, func(ctx context.Context, m ringdht.Message) {
						n := self[i].Load()
						switch k := binary.BigEndian.Uint64(m.Body); {
						case k%97 == 0 && i == 0:
							panic("test")
						case k%31 == 0 && i == 1 && n != nil:
							if err := n.Send(ctx, n.ID(), []byte("to itself")); err != nil && !errors.Is(err, ringdht.ErrBacklog) && !errors.Is(err, ringdht.ErrNotMember) && !errors.Is(err, ringdht.ErrRefused) {
								t.Error(err)
							}
						case k%61 == 0 && i == 2:
							time.Sleep(100 * time.Microsecond)
						}
					}, ringdht.WithLimits(limits), ringtest.NewLog().Option())
					self[i].Store(f.n)
					all = append(all, f)
				}
				tr.Join(nil)
				tr.Setup(0)
				wait := floodAll(t, tr.Ctx(), all...)
				errs := make([]error, len(all))
				var leaves sync.WaitGroup
				start := time.Now()
				for i, f := range all {
					leaves.Go(func() { errs[i] = f.n.Leave(tr.Ctx()) })
				}
				leaves.Wait()
				took := time.Since(start)
				wait()
				for i, f := range all {
					if err := only(errs[i]); err != nil {
						t.Error(err)
					}
					for _, to := range all {
						if f != to {
							settleUp(t, f, to, to.id, errs[i])
						}
					}
				}
				t.Logf("left in %v", took)
				if took > 20*time.Second { // a lease is 30 s
					t.Errorf("left in %v", took)
				}
			})
		}
	})
}

// troubled is a ring in which something is about to go wrong.
type troubled struct {
	*ringtest.Ring
	net   *memnet.Network
	all   []*flooder // on n0, n1 and n2, of which the last one leaves
	late  time.Duration
	going sync.WaitGroup
}

// after does something a while after the leave has begun, not always the same.
func (w *troubled) after(d time.Duration, f func()) {
	w.going.Go(func() {
		time.Sleep(d + w.late)
		f()
	})
}

// A node leaves while it and two others send to each other, and while something is wrong
// or goes wrong: of each message both ends know what became of it.
func TestLeaveWhileSomethingGoesWrong(t *testing.T) {
	for name, c := range map[string]struct {
		before  func(w *troubled) // the leave begins
		handler func(ctx context.Context, m ringdht.Message)
		longest time.Duration // a leave; a lease is 3 s
		evicted bool
	}{
		"nothing":      {},
		"slow handler": {handler: func(context.Context, ringdht.Message) { time.Sleep(2 * time.Millisecond) }, longest: time.Minute},
		"handler panics": {handler: func(_ context.Context, m ringdht.Message) {
			if m.Body[7]%64 == 7 {
				panic("test")
			}
		}},
		"a pair cannot reach each other": {before: func(w *troubled) {
			w.net.Cut("n0", "n2")
			untilRegistry(w.Ring, func() bool { return len(w.Registry.Degraded()) > 0 })
			time.Sleep(ringtest.Lease)
		}},
		"a pair is cut": {before: func(w *troubled) { w.after(time.Millisecond, func() { w.net.Cut("n0", "n2") }) }},
		"a source stands still for a while": {before: func(w *troubled) {
			w.after(time.Millisecond, func() { w.net.Hold("n0", ""); w.net.Hold("", "n0") })
			w.after(ringtest.Lease/3, func() { w.net.Heal() })
		}, longest: ringtest.Lease},
		"the leaver stands still for a while": {before: func(w *troubled) {
			w.after(time.Millisecond, func() { w.net.Hold("n2", ""); w.net.Hold("", "n2") })
			w.after(ringtest.Lease/3, func() { w.net.Heal() })
		}, longest: ringtest.Lease},
		"a fifth of all writes is lost": {before: func(w *troubled) {
			for _, a := range []string{"n0", "n1", "n2", "n3"} {
				for _, b := range []string{"n0", "n1", "n2", "n3"} {
					if a != b {
						w.net.Drop(a, b, 0.2)
					}
				}
			}
		}, longest: 20 * ringtest.Lease},
		"it takes long": {before: func(w *troubled) {
			for _, a := range []string{"n0", "n1", "n2", "n3"} {
				w.net.Delay(a, "", 50*time.Millisecond, 50*time.Millisecond)
			}
			time.Sleep(ringtest.Lease)
		}, longest: ringtest.Lease},
		"it is declared dead": {before: func(w *troubled) {
			w.after(time.Millisecond, func() { w.net.Hold("n2", "") })
			w.after(ringtest.Lease+ringtest.Lease/2, func() { w.net.Heal() })
		}, longest: 3 * ringtest.Lease, evicted: true},
		"a source is declared dead": {before: func(w *troubled) {
			w.after(time.Millisecond, func() { w.net.Hold("n0", "") })
			w.after(ringtest.Lease+ringtest.Lease/2, func() { w.net.Heal() })
		}, longest: 3 * ringtest.Lease, evicted: true},
		"a source closes": {before: func(w *troubled) {
			w.after(time.Millisecond, func() { w.all[0].closed = w.all[0].n.Close() })
		}, longest: 3 * ringtest.Lease, evicted: true},
		"the registry restarts": {before: func(w *troubled) {
			w.Registry.Close()
			w.after(ringtest.Lease/4, func() { w.RestartRegistry(ringdht.WithLease(ringtest.Lease)) })
		}, longest: 5 * ringtest.Lease},
		"the registry restarts meanwhile": {before: func(w *troubled) {
			w.after(time.Millisecond, func() {
				w.Registry.Close()
				time.Sleep(ringtest.Lease / 4)
				w.RestartRegistry(ringdht.WithLease(ringtest.Lease))
			})
		}, longest: 5 * ringtest.Lease},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := memnet.New(1)
				tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
				hosts := []string{"n0", "n1", "n2", "n3"}
				for i, a := range hosts {
					for j, b := range hosts {
						if i != j {
							net.Delay(a, b, time.Duration(1+(i+2*j)%3)*time.Millisecond, time.Millisecond)
						}
					}
				}
				var all []*flooder
				for range 3 {
					f := newFlooder(tr, c.handler, ringtest.NewLog().Option())
					f.pace = time.Millisecond
					all = append(all, f)
				}
				tr.Join(nil)
				tr.Setup(0)
				wait := floodAll(t, tr.Ctx(), all...)
				leaver, others := all[2], all[:2]
				w := &troubled{Ring: tr, net: net, all: all, late: time.Duration(rand.IntN(50)) * time.Millisecond}
				if c.before != nil {
					c.before(w)
				}
				start := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
				defer cancel()
				err := leaver.n.Leave(ctx)
				took := time.Since(start)
				t.Logf("left after %v, what goes wrong does so %v later than it might: %v", took, w.late, err)
				if err := only(err); err != nil && !(c.evicted && (errors.Is(err, ringdht.ErrEvicted) || errors.Is(err, ringdht.ErrRegistryLost))) {
					t.Error(err)
				}
				if took > max(c.longest, time.Second) {
					t.Errorf("left after %v", took)
				}
				w.going.Wait()
				time.Sleep(ringtest.Lease) // until the registry has told of the dead
				for _, f := range others {
					if c.evicted {
						nothingSilent(t, leaver, f, f.id, err)
						nothingSilent(t, f, leaver, leaver.id, errors.Join(f.closed, f.n.Flush(ctx, leaver.id)))
						continue
					}
					settleUp(t, leaver, f, f.id, err)
					settleUp(t, f, leaver, leaver.id, errors.Join(f.closed, f.n.Flush(ctx, leaver.id)))
				}
				tr.Close()
				wait()
			})
		})
	}
}

// Until waits until something is so.
func untilRegistry(tr *ringtest.Ring, done func() bool) {
	tr.T.Helper()
	for range 60_000 {
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	tr.T.Fatal("it does not happen")
}

// A leave whose context ends at any moment is no more than a Close: it ends soon, and what it
// does not tell of was handled.
func TestLeavesWhoseContextsEnd(t *testing.T) {
	overBoth(t, func(t *testing.T, mem *memnet.Network) {
		for round := range 5 {
			tr := ringtest.New(t, mem)
			var all []*flooder
			for range 3 {
				f := newFlooder(tr, func(context.Context, ringdht.Message) {})
				all = append(all, f)
			}
			tr.Setup(0)
			wait := floodAll(t, tr.Ctx(), all...)
			var errs [3]error
			var wg sync.WaitGroup
			for i, f := range all {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(20000))*time.Microsecond)
					defer cancel()
					errs[i] = f.n.Leave(ctx)
				})
			}
			start := time.Now()
			wg.Wait()
			if d := time.Since(start); d > 20*time.Second { // a lease is 30 s
				t.Errorf("round %d: %v", round, d)
			}
			wait()
			for i, f := range all {
				for _, to := range all {
					if f != to {
						nothingSilent(t, f, to, to.id, errs[i])
					}
				}
			}
			tr.Close()
		}
	})
}

// Handlers and callbacks that call Close, Leave and Flush of a node that leaves keep it from
// nothing, and what has not been handled the callback is told, once.
func TestHandlersMeddleWithALeave(t *testing.T) {
	overBoth(t, func(t *testing.T, mem *memnet.Network) {
		for round := range 3 {
			tr := ringtest.New(t, mem)
			var told [3]atomic.Int64
			var all []*flooder
			for i := range 3 {
				var self atomic.Pointer[ringdht.Node]
				f := newFlooder(tr, func(ctx context.Context, m ringdht.Message) {
					n := self.Load()
					if n == nil {
						return
					}
					switch k := binary.BigEndian.Uint64(m.Body); {
					case k%50 == 0:
						if err := n.Close(); !errors.Is(err, ringdht.ErrInHandler) {
							t.Error("Close", err)
						}
					case k%50 == 1:
						if err := n.Leave(context.Background()); !errors.Is(err, ringdht.ErrInHandler) {
							t.Error("Leave", err)
						}
					case k%50 == 2:
						c, cancel := context.WithTimeout(ctx, time.Millisecond)
						n.Flush(c)
						cancel()
					}
				}, ringdht.WithUndelivered(func(u ringdht.Undelivered) {
					told[i].Add(int64(u.Messages))
					if err := self.Load().Close(); !errors.Is(err, ringdht.ErrInHandler) {
						t.Error("Close in callback", err)
					}
					if u.NotHandled < u.Messages {
						t.Error(u.Messages, u.NotHandled, u.Err)
					}
				}))
				self.Store(f.n)
				all = append(all, f)
			}
			tr.Setup(0)
			wait := floodAll(t, tr.Ctx(), all...)
			var errs [3]error
			var wg sync.WaitGroup
			for i, f := range all {
				wg.Go(func() { errs[i] = f.n.Leave(tr.Ctx()) })
			}
			wg.Wait()
			wait()
			for i, f := range all {
				if errs[i] != nil {
					t.Error(errs[i])
				}
				total, got := uint64(0), uint64(0)
				for _, to := range all {
					if to != f {
						total += f.sent[to.id]
						got += to.next[f.id]
					}
				}
				if got+uint64(told[i].Load()) != total {
					t.Error(round, "sent", total, "got", got, "told", told[i].Load())
				}
			}
			tr.Close()
		}
	})
}
