package ringtest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// longLease tells a leave that waits for a lease from one on a busy machine.
const longLease = 4 * time.Minute

// Nodes that flood each other leave at the same moment. Their handlers panic, wait a little,
// and send to their own node. It holds with ample limits and with tiny ones.
func TestNodesThatFloodEachOtherLeaveAtOnce(t *testing.T) {
	overBoth(t, func(t *testing.T, mem *memnet.Network) {
		for name, limits := range map[string]status.Limits{"ample": {}, "tiny": {SendBuffer: 64 << 10, ReceiveBuffer: 64 << 10, HandlerBacklog: 4 << 10, Streams: 3, Handlers: 1}} {
			t.Run(name, func(t *testing.T) {
				tr := ringtest.New(t, mem, ringdht.WithMaxPayload(1<<10), ringdht.WithLease(longLease))
				var all []*flooder
				self := make(map[int]*atomic.Pointer[ringtest.Node])
				for i := range 3 {
					self[i] = new(atomic.Pointer[ringtest.Node])
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
							checkExact(t, f, to, to.id, errs[i])
						}
					}
				}
				t.Logf("the leaves took %v", took)
				if took > longLease/2 {
					t.Errorf("the leaves took %v", took)
				}
			})
		}
	})
}

// A leave whose context ends is a Close: it returns soon. Messages that it does not list were
// handled.
func TestLeavesWhoseContextsEnd(t *testing.T) {
	overBoth(t, func(t *testing.T, mem *memnet.Network) {
		for round := range 5 {
			tr := ringtest.New(t, mem, ringdht.WithLease(longLease))
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
			if d := time.Since(start); d > longLease/2 {
				t.Errorf("round %d: the leaves took %v", round, d)
			}
			wait()
			for i, f := range all {
				for _, to := range all {
					if f != to {
						checkNoneSilent(t, f, to, to.id, errs[i])
					}
				}
			}
			tr.Close()
		}
	})
}

// Handlers and callbacks may call Close, Leave and Flush of a node that leaves: it leaves all
// the same. The callback is told of each message that was not handled, once.
func TestHandlersMeddleWithALeave(t *testing.T) {
	overBoth(t, func(t *testing.T, mem *memnet.Network) {
		for round := range 3 {
			tr := ringtest.New(t, mem)
			var told [3]atomic.Int64
			var all []*flooder
			for i := range 3 {
				var self atomic.Pointer[ringtest.Node]
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
				}, ringtest.WithUndelivered(func(u status.Undelivered) {
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
