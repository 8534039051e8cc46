package rpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// newShared returns an endpoint whose answers travel with the requests, as they must not.
func newShared(n *ringdht.Node, opts ...Option) *Endpoint {
	c := &node{n: n}
	e := newEndpoint("s", c, n.Codec(), opts)
	s := n.Service("s")
	c.lanes = [2]*ringdht.Service{s, s}
	s.OnUndelivered(func(u status.Undelivered) { e.undelivered(requests, u.Sink, u.Bodies, u.NotHandled, u.Err) })
	s.Handle(func(ctx context.Context, m ringdht.Message) {
		l := answers
		if m.Body[0] == kindRequest || m.Body[0] == kindAsk {
			l = requests
		}
		e.receive(ctx, l, m)
	})
	return e
}

// All nodes of a real ring call all others, with the least memory and handlers that call back. If
// answers travelled with the requests, the ring would stand still.
func TestTinyLimits(t *testing.T) {
	limits := ringdht.WithLimits(status.Limits{SendBuffer: 4 << 10, ReceiveBuffer: 8 << 10, HandlerBacklog: 4 << 10, LinkQueue: 16 << 10, Handlers: 4})
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared=", shared), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := memnet.New(1)
				r := ends{ringtest.New(t, net, ringdht.WithLease(ringtest.Lease), ringdht.WithMaxPayload(1000)), t}
				var all []*Endpoint
				hop := Method[string, string]("hop")
				for id := range ringdht.ID(3) {
					n := ringdht.NewNode(r.Options([]ringdht.NodeOption{ringdht.WithID(id), limits})...)
					var e *Endpoint
					if shared {
						e = newShared(n, WithConcurrency(4))
					} else {
						e = New(n, "s", WithConcurrency(4))
					}
					hop.Handle(e, func(ctx context.Context, s string) (string, error) {
						if rest, ok := strings.CutPrefix(s, "back"); ok {
							return hop.Call(ctx, e, FromContext(ctx).Peer, rest)
						}
						return s, nil
					})
					if err := n.Join(r.Ctx(), r.Line()); err != nil {
						t.Fatal(err)
					}
					r.Nodes, all = append(r.Nodes, &ringtest.Node{Node: n}), append(all, e)
				}
				r.setup(1)
				ctx, cancel := context.WithTimeout(r.Ctx(), time.Minute)
				defer cancel()
				var failed atomic.Int64
				var wg sync.WaitGroup
				for _, e := range all {
					for to := range ringdht.ID(3) {
						for range 50 {
							wg.Go(func() {
								if s, err := hop.Call(ctx, e, to, "back"+strings.Repeat("x", 900)); len(s) != 900 || err != nil {
									failed.Add(1)
								}
							})
						}
					}
				}
				wg.Wait()
				if late := failed.Load() > 0; late != shared {
					t.Errorf("%d calls failed", failed.Load())
				}
				r.Close()
			})
		})
	}
}

// While 1,000 calls a second are made, all instances are restarted, one after the other. No outcome
// is unknown, and a call that an instance refuses, another one answers. A caller that looks at its list
// when an instance has begun to wind up does not find it there. So none of its calls is refused.
func TestRollingRestart(t *testing.T) {
	for _, again := range []bool{true, false} {
		t.Run(fmt.Sprint("same IDs=", again), func(t *testing.T) {
			onRings(t, func(t *testing.T, r ends) { rollingRestart(t, r, again) })
		})
	}
}

// winding are the incarnations that have begun to wind up.
type winding struct {
	mu  sync.Mutex
	all map[uint64]bool
}

func (w *winding) begin(inc uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[inc] = true
}

// up returns those that have begun by now.
func (w *winding) up() map[uint64]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.all)
}

func rollingRestart(t *testing.T, r ends, again bool) {
	work := Method[int, int]("work")
	wind := winding{all: make(map[uint64]bool)}
	methods := func(e *Endpoint) {
		work.Handle(e, func(ctx context.Context, n int) (int, error) {
			time.Sleep(time.Duration(n%20) * time.Millisecond)
			return n, nil
		})
		e.Service().OnLeave(func(context.Context) error { wind.begin(e.carrier.incarnation()); return nil })
	}
	var clients []*Endpoint
	for id := range ringdht.ID(2) {
		e, _ := r.join(id, nil, nil)
		clients = append(clients, e)
	}
	var nodes []*ringtest.Node
	for id := ringdht.ID(10); id <= 50; id += 10 {
		_, n := r.join(id, methods, nil)
		nodes = append(nodes, n)
	}
	r.setup(2)

	var unknown, failed, retried, refused, answered atomic.Int64
	call := func(e *Endpoint, n int) {
		var last error
		for range 3 {
			winding := wind.up()
			members, epoch := e.Service().Members()
			rand.Shuffle(len(members), func(a, b int) { members[a], members[b] = members[b], members[a] })
			for _, m := range members {
				if winding[m.Incarnation] {
					t.Errorf("call %d: the list of epoch %d has %d, which has begun to wind up", n, epoch, m.ID)
				}
			}
			for _, m := range members {
				id := m.ID
				got, err := work.Call(r.Ctx(), e, id, n)
				switch {
				case err == nil && got == n:
					answered.Add(1)
					return
				case !errors.Is(err, ErrNotHandled):
					unknown.Add(1)
					t.Errorf("call %d of %d: %v", n, id, err)
					return
				}
				if retried.Add(1); errors.Is(err, ErrLeaving) {
					refused.Add(1)
				}
				last = err
			}
		}
		failed.Add(1)
		t.Errorf("call %d: %v", n, last)
	}
	ctx, stop := context.WithCancel(r.Ctx())
	var calls sync.WaitGroup
	var ticking sync.WaitGroup
	for _, e := range clients {
		ticking.Go(func() {
			every := time.NewTicker(2 * time.Millisecond)
			defer every.Stop()
			for n := 0; ; n++ {
				select {
				case <-every.C:
					calls.Go(func() { call(e, n) })
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for i, n := range nodes {
		old := n.ID()
		if err := n.Leave(r.Ctx()); err != nil {
			t.Errorf("leaving: %v", err)
		}
		r.Remove(n)
		id := old
		if !again {
			id += 100 + ringdht.ID(i)
		}
		r.join(id, methods, nil)
		r.ready()
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	ticking.Wait()
	calls.Wait()
	t.Logf("%d answered, %d tried again, of which %d were refused, %d unknown, %d failed", answered.Load(), retried.Load(), refused.Load(), unknown.Load(), failed.Load())
}
