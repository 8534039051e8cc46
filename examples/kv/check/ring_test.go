package check

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/kv/store"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

var (
	rings  = flag.Int("rings", 3, "how many rings TestRing tries")
	rounds = flag.Int("rounds", 6, "how many faults each has")
)

// In a ring in memory, up to two of the owners in different zones are killed at once or cut off from the
// registry, owners leave and join, and news come late. Each key is linearizable, and no write that was answered
// is lost.
func TestRing(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*rings); seed++ {
		h := new(history)
		var took time.Duration
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			f := newField(t, seed, h)
			f.run()
			took = time.Since(begun)
			t.Log(f.faults)
		})
		if wrong := h.check(); wrong != "" {
			t.Fatalf("-seed %d: %s", seed, wrong)
		}
		t.Logf("-seed %d: %s, %v", seed, h.summary(), took)
	}
}

// field is a ring with a store.
type field struct {
	*ringtest.Ring
	t      *testing.T
	net    *memnet.Network
	rand   *rand.Rand // of run's goroutine
	ctx    context.Context
	h      *history
	hosts  int
	owners [3][]*owner
	keys   []string
	faults map[string]int
	quiet  atomic.Bool // the clients wait
}

// owner is a node that owns keys.
type owner struct {
	*ringdht.Node
	host string
	stop context.CancelFunc
}

func newField(t *testing.T, seed uint64, h *history) *field {
	net := memnet.New(seed)
	f := &field{Ring: ringtest.New(t, net, ringdht.WithLease(ringtest.Lease)), t: t, net: net, rand: rand.New(rand.NewPCG(seed, 2)), h: h, faults: make(map[string]int)}
	var cancel context.CancelFunc
	f.ctx, cancel = context.WithTimeout(context.Background(), time.Hour)
	t.Cleanup(cancel)
	net.Delay("", "", 200*time.Microsecond, time.Millisecond)
	for i := range 12 {
		f.keys = append(f.keys, fmt.Sprint("key-", i))
	}
	return f
}

// join adds a node to the ring.
func (f *field) join(zone int) (*store.Store, *owner) {
	f.t.Helper()
	o := &owner{host: fmt.Sprint("h", f.hosts)}
	f.hosts++
	o.Node = ringdht.NewNode(ringdht.WithTransport(f.net.Host(o.host)), ringdht.WithRetry())
	f.Nodes = append(f.Nodes, &ringtest.Node{Node: o.Node})
	s := store.New(o.Node, zone)
	if err := o.Join(f.ctx, f.Line()); err != nil {
		f.t.Error(err)
	}
	ctx, stop := context.WithCancel(f.ctx)
	o.stop = stop
	if zone >= 0 && zone <= 2 {
		f.owners[zone] = append(f.owners[zone], o)
		go s.Guard(ctx, func(int, int) {})
	}
	return s, o
}

// take takes an owner of a zone off the list.
func (f *field) take(zone int) *owner {
	i := f.rand.IntN(len(f.owners[zone]))
	o := f.owners[zone][i]
	f.owners[zone] = append(f.owners[zone][:i:i], f.owners[zone][i+1:]...)
	return o
}

func (f *field) run() {
	for range 2 {
		for zone := range 3 {
			f.join(zone)
		}
	}
	var stores []*store.Store
	for range 3 {
		s, _ := f.join(-1)
		stores = append(stores, s)
	}
	f.Setup(0)
	over := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 6 {
		random := rand.New(rand.NewPCG(f.rand.Uint64(), uint64(i)))
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
					if f.quiet.Load() {
						time.Sleep(time.Second)
						continue
					}
					time.Sleep(time.Duration(random.IntN(4)) * time.Millisecond)
					client(f.ctx, f.h, stores[i%len(stores)], i, f.keys[random.IntN(len(f.keys))], random, fmt.Sprintf("%d.%d", i, n))
				}
			}
		})
	}
	var cold []string
	for i := range 24 { // keys that only Guard keeps
		cold = append(cold, fmt.Sprint("cold-", i))
		f.must(stores[0], cold[i], store.Request{Kind: store.Put, New: "cold"})
	}
	time.Sleep(3 * time.Second)
	for range *rounds {
		f.fault()
		f.rest()
	}
	close(over)
	clients.Wait()
	for _, key := range append(cold, f.keys...) {
		f.must(stores[0], key, store.Request{Kind: store.Get})
	}
	for _, zone := range f.owners {
		for _, o := range zone {
			o.stop()
		}
	}
	f.Close()
	synctest.Wait()
}

// must does a request that must succeed.
func (f *field) must(s *store.Store, key string, r store.Request) {
	if err := f.h.do(100, key, r, func() (store.Answer, error) { return s.Do(f.ctx, key, r) }); err != nil {
		f.t.Errorf("%s: %v", key, err)
	}
}

// rest waits until Guard has given each key three copies: a minute, and what is due at once. The clients wait as
// well: their requests would have the same effect.
func (f *field) rest() {
	f.quiet.Store(true)
	time.Sleep(80 * time.Second)
	f.quiet.Store(false)
}

// fault does something to one or two zones.
func (f *field) fault() {
	time.Sleep(time.Duration(f.rand.IntN(500)) * time.Millisecond)
	zone := f.rand.IntN(3)
	zones := []int{zone}
	if f.rand.IntN(2) == 0 {
		zones = append(zones, (zone+1+f.rand.IntN(2))%3)
	}
	var after sync.WaitGroup
	switch what := []string{"kill", "kill", "cut", "leave", "join"}[f.rand.IntN(5)]; what {
	case "kill":
		f.faults[what]++
		for _, z := range zones {
			o := f.take(z)
			o.stop()
			after.Go(func() { o.Close() })
		}
		after.Wait()
		for _, z := range zones {
			f.join(z)
		}
	case "cut":
		f.faults[what]++
		f.cut(zones)
	case "leave":
		f.faults[what]++
		for _, z := range zones {
			o := f.take(z)
			after.Go(func() {
				f.join(z)
			})
			after.Wait()
			ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
			if err := o.Leave(ctx); err != nil {
				f.t.Log("leaving: ", err)
			}
			cancel()
			o.stop()
		}
	case "join":
		f.faults[what]++
		for _, z := range zones {
			if len(f.owners[z]) < 4 {
				f.join(z)
			}
		}
	}
}

// cut cuts owners off from the registry, perhaps with a client, until they are declared dead. Others hear late
// of it.
func (f *field) cut(zones []int) {
	for i := range f.hosts {
		if f.rand.IntN(2) == 0 {
			f.net.Delay("registry", fmt.Sprint("h", i), time.Second, time.Second)
		}
	}
	var lost []string
	for _, z := range zones {
		o := f.owners[z][f.rand.IntN(len(f.owners[z]))]
		lost = append(lost, o.host)
	}
	for i := range 3 { // clients that hear nothing of it
		if f.rand.IntN(3) == 0 {
			lost = append(lost, fmt.Sprint("h", 6+i))
		}
	}
	for _, host := range lost {
		f.net.Cut(host, "registry")
	}
	time.Sleep(ringtest.Lease + time.Duration(f.rand.IntN(9000))*time.Millisecond)
	for _, host := range lost {
		f.net.Mend(host, "registry")
	}
	for i := range f.hosts {
		f.net.Delay("registry", fmt.Sprint("h", i), 200*time.Microsecond, time.Millisecond)
	}
	time.Sleep(3 * ringtest.Lease)
}
