package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
// is unknown. A call that an instance refuses, another one answers.
func TestRollingRestart(t *testing.T) {
	for _, again := range []bool{true, false} {
		t.Run(fmt.Sprint("same IDs=", again), func(t *testing.T) {
			onRings(t, func(t *testing.T, r ends) { rollingRestart(t, r, again) })
		})
	}
}

// instances are the IDs to call.
type instances struct {
	mu  sync.Mutex
	ids []ringdht.ID
}

func (i *instances) shuffled() []ringdht.ID {
	i.mu.Lock()
	defer i.mu.Unlock()
	ids := slices.Clone(i.ids)
	rand.Shuffle(len(ids), func(a, b int) { ids[a], ids[b] = ids[b], ids[a] })
	return ids
}

func (i *instances) replace(old, id ringdht.ID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ids = append(slices.DeleteFunc(slices.Clone(i.ids), func(x ringdht.ID) bool { return x == old }), id)
}

func rollingRestart(t *testing.T, r ends, again bool) {
	work := Method[int, int]("work")
	methods := func(e *Endpoint) {
		work.Handle(e, func(ctx context.Context, n int) (int, error) {
			time.Sleep(time.Duration(n%20) * time.Millisecond)
			return n, nil
		})
	}
	var clients []*Endpoint
	for id := range ringdht.ID(2) {
		e, _ := r.join(id, nil, nil)
		clients = append(clients, e)
	}
	live := &instances{}
	var nodes []*ringtest.Node
	for id := ringdht.ID(10); id <= 50; id += 10 {
		_, n := r.join(id, methods, nil)
		nodes, live.ids = append(nodes, n), append(live.ids, id)
	}
	r.setup(2)

	var unknown, failed, retried, answered atomic.Int64
	call := func(e *Endpoint, n int) {
		var last error
		for range 3 {
			for _, id := range live.shuffled() {
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
				retried.Add(1)
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
		live.replace(old, id)
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	ticking.Wait()
	calls.Wait()
	t.Logf("%d answered, %d tried again, %d unknown, %d failed", answered.Load(), retried.Load(), unknown.Load(), failed.Load())
}
