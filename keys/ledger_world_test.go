package keys

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// tallied is the state of a key: how many messages it has got, and the latest of each source.
type tallied struct {
	Count uint64
	Last  []uint64
	Fill  []byte
}

// numbered is the N-th message of a source to a key, from 1 on.
type numbered struct {
	Source int
	N      uint64
	Again  bool
}

const (
	count = Method[tallied, numbered, uint64]("count")
	read  = Method[tallied, struct{}, uint64]("read")
)

// crowd is a ring of owners that come and go, with sources that stay.
type crowd struct {
	*ringtest.Ring
	t     testing.TB
	judge *judge
	keys  []string
	fill  int         // bytes of a state, besides
	stuck chan string // of one slot

	mu      sync.Mutex
	serial  int
	owners  []*keeper
	ending  []*keeper // those that leave
	ended   Counters  // of owners that are not there any more
	sources []*sourceNode
	ready   []time.Duration // how long joins took, while the ring was live

	joins, leaves, deaths, cuts, restarts atomic.Int32
	over                                  atomic.Bool // the test has ended
}

// keeper is a node that owns keys.
type keeper struct {
	node  *ringdht.Node
	host  string
	space *Space[tallied]
	life  *judged // the latest one
}

func newCrowd(t testing.TB, inMemory bool, keys, sources int, opts ...ringdht.RegistryOption) *crowd {
	var net *memnet.Network
	if inMemory {
		net = memnet.New(1)
	}
	c := &crowd{Ring: ringtest.New(t, net, opts...), t: t, keys: keysOf(keys)}
	c.stuck = make(chan string, 1)
	c.judge = newJudge(c.keys, sources)
	c.judge.peek = func(o Owner, key string) uint64 {
		e := o.(*states[tallied]).get(key, Point(key))
		if e == nil {
			return 0
		}
		var state tallied
		if err := c.sources[0].node.Codec().Decode(e.encoded, &state); err != nil {
			c.wrong("the state of %s: %v", key, err)
		}
		return state.Count
	}
	t.Cleanup(func() {
		c.Registry.Close() // first, so that members are not told of every end
		c.closeAll()
	})
	return c
}

func (c *crowd) closeAll() {
	var all sync.WaitGroup
	c.mu.Lock()
	owners := append(slices.Clone(c.owners), c.ending...)
	c.mu.Unlock()
	for _, k := range owners {
		all.Go(func() { k.node.Close() })
	}
	for _, s := range c.sources {
		all.Go(func() { s.node.Close() })
	}
	all.Wait()
}

// options returns those of the next node, and its host.
func (c *crowd) options() (opts []ringdht.NodeOption, host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial++
	host = fmt.Sprint("n", c.serial)
	for _, o := range c.Shared {
		opts = append(opts, o)
	}
	if c.Net != nil {
		opts = append(opts, ringdht.WithTransport(c.Net.Host(host)))
	}
	return append(opts, ringdht.WithRetry()), host
}

// join lets an owner join, and waits until it is ready if the ring is live.
func (c *crowd) join(live bool) {
	opts, host := c.options()
	n := ringdht.NewNode(opts...)
	k := &keeper{node: n, host: host, space: New[tallied](n, "counters")}
	count.Handle(k.space, func(ctx context.Context, key string, state *tallied, m numbered) (uint64, error) {
		anew := state.Last == nil
		if anew {
			state.Last, state.Fill = make([]uint64, len(c.sources)), make([]byte, c.fill)
		}
		c.judge.step(ctx, key, m.Source, m.N, m.Again, state, anew)
		state.Count++
		state.Last[m.Source] = m.N
		return state.Count, nil
	})
	read.Handle(k.space, func(_ context.Context, _ string, state *tallied, _ struct{}) (uint64, error) {
		return state.Count, nil
	})
	offers := c.judge.around(host, k.space.begin)
	k.space.hub.offers = func() Owner {
		o := offers()
		c.judge.mu.Lock()
		defer c.judge.mu.Unlock()
		k.life = o.(*judged)
		return o
	}
	began := time.Now()
	err := n.Join(c.Ctx(), c.Line())
	if err == nil && live {
		err = n.Ready(c.Ctx())
	}
	took := time.Since(began)
	if err != nil {
		c.wrong("an owner joins: %v", err)
		n.Close()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owners = append(c.owners, k)
	c.ending = slices.DeleteFunc(c.ending, func(e *keeper) bool { return e == k })
	if live {
		c.ready = append(c.ready, took)
	}
}

// populate lets a number of owners join, 32 at a time, and makes the ring live.
func (c *crowd) populate(owners int) {
	c.t.Helper()
	began := time.Now()
	var all sync.WaitGroup
	turns := make(chan struct{}, owners)
	for range owners {
		turns <- struct{}{}
	}
	close(turns)
	for range 32 {
		all.Go(func() {
			for range turns {
				c.join(false)
			}
		})
	}
	all.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
	joined := time.Now()
	c.Setup(0)
	set := time.Now()
	defer func() {
		c.t.Logf("%d owners have joined after %v; the tables are set up %v later; ready %v later", owners, joined.Sub(began).Round(time.Millisecond),
			set.Sub(joined).Round(time.Millisecond), time.Since(set).Round(time.Millisecond))
	}()
	for _, k := range c.owners {
		if err := k.node.Ready(c.Ctx()); err != nil {
			c.t.Fatal(err)
		}
	}
}

// draw takes an owner out of those that are there, if more than least are.
func (c *crowd) draw(least int) *keeper {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.owners) <= least {
		return nil
	}
	i := rand.IntN(len(c.owners))
	k := c.owners[i]
	c.owners = slices.Delete(c.owners, i, i+1)
	c.ending = append(c.ending, k)
	return k
}

// gone notes the end of an owner.
func (c *crowd) gone(k *keeper) {
	counters := k.space.Counters()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended.add(counters)
	c.ending = slices.DeleteFunc(c.ending, func(e *keeper) bool { return e == k })
}

// leave lets an owner leave in good order.
func (c *crowd) leave(k *keeper) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c.within(fmt.Sprint("the leave of ", k.node.ID()), func() {
		err := k.node.Leave(ctx)
		switch {
		case err == nil:
		case c.restarts.Load() > 0 && (errors.Is(err, ringdht.ErrRegistryLost) || errors.Is(err, ringdht.ErrEvicted)):
			c.markOver(k) // on a busy machine the registry is away for longer than a leave, or a lease, waits
			c.t.Log("an owner ends without the registry's word: ", err)
		default:
			c.wrong("an owner leaves: %v", err)
		}
	})
	c.leaves.Add(1)
	c.gone(k)
}

// markOver says that a life may be declared over from now on.
func (c *crowd) markOver(k *keeper) {
	c.judge.mu.Lock()
	defer c.judge.mu.Unlock()
	k.life.end()
}

// die ends an owner without a word.
func (c *crowd) die(k *keeper) {
	c.markOver(k)
	k.node.Close()
	c.deaths.Add(1)
	c.gone(k)
}

// cut cuts an owner off the registry until its life is over there, and lets it come back as another.
func (c *crowd) cut(k *keeper) {
	c.markOver(k)
	registry, id := ringtest.RegistryOf(c.Registry), uint64(k.node.ID())
	c.Net.Cut(k.host, "registry")
	err := registry.Await(c.Ctx(), func() bool {
		_, there := registry.Authority().Holder(id)
		return !there
	})
	if err != nil {
		c.wrong("an owner that is cut off is still a member: %v", err)
	}
	c.Net.Mend(k.host, "registry")
	c.cuts.Add(1)
	if err := k.node.WaitConnected(c.Ctx()); err != nil && !errors.Is(err, ringdht.ErrClosed) {
		c.wrong("an owner that was cut off: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owners = append(c.owners, k)
	c.ending = slices.DeleteFunc(c.ending, func(e *keeper) bool { return e == k })
}
