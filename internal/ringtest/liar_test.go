package ringtest_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// liar is a member that lies: it decides about each frame that it passes on.
type liar struct {
	id      uint64 // of the member; 0: it is honest
	lies    sync.RWMutex
	swallow func(f wire.Frame) bool
	delay   time.Duration
}

// option has a node send through the liar, above TLS.
func (l *liar) option() ringdht.NodeOption {
	return ringtest.WithNodeConfig(func(c *node.Config) {
		c.Inside = func(_ string, conn net.Conn) net.Conn { return &liarConn{Conn: conn, liar: l} }
	})
}

// begin makes the member lie.
func (l *liar) begin(id ringdht.ID, swallow func(f wire.Frame) bool) {
	l.lies.Lock()
	defer l.lies.Unlock()
	l.id, l.swallow = uint64(id), swallow
}

// liarConn is a connection of the liar. Writers write whole frames.
type liarConn struct {
	net.Conn
	liar *liar
}

func (c *liarConn) Write(b []byte) (int, error) {
	c.liar.lies.RLock()
	defer c.liar.lies.RUnlock()
	if c.liar.swallow == nil || len(b) < wire.PrefixSize || wire.Type(b[0]) == 0 || wire.Type(b[0]) >= wire.FirstControl {
		return c.Conn.Write(b)
	}
	var kept []byte
	for rest := b; len(rest) > 0; {
		if n := wire.Whole(rest, 1<<20); n == 0 {
			panic("part of a frame")
		}
		var f wire.Frame
		f, rest = wire.Next(rest)
		switch t := f.Type(); {
		case t.ConnectionOnly() || f.Src() == c.liar.id:
			kept = append(kept, f...)
		case c.liar.delay > 0:
			late := slices.Clone(f)
			time.AfterFunc(c.liar.delay, func() { c.Conn.Write(late) })
		case !c.liar.swallow(f):
			kept = append(kept, f...)
		}
	}
	if _, err := c.Conn.Write(kept); err != nil {
		return 0, err
	}
	return len(b), nil
}

// liarRing is a ring in memory, in whose middle sits a member that may lie.
type liarRing struct {
	*ringtest.Ring
	liar  *liar // the first
	liars []*liar
	at    int // its place in Nodes
	mu    sync.Mutex
	got   map[[2]ringdht.ID][]uint32
}

// newLiarRing starts a ring of n nodes, of which those at some places may lie.
func newLiarRing(t *testing.T, n int, places ...int) *liarRing {
	t.Helper()
	r := &liarRing{Ring: ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease)), at: places[0], got: make(map[[2]ringdht.ID][]uint32)}
	for i := range n {
		var opts []ringdht.NodeOption
		if slices.Contains(places, i) {
			l := new(liar)
			opts, r.liars = append(opts, l.option()), append(r.liars, l)
		}
		r.add(ringdht.ID(10*(i+1)), opts...)
	}
	r.Setup(0)
	r.liar, r.Liar = r.liars[0], true
	return r
}

// add adds a node.
func (r *liarRing) add(self ringdht.ID, opts ...ringdht.NodeOption) {
	r.Join(func(_ context.Context, m ringdht.Message) {
		r.mu.Lock()
		defer r.mu.Unlock()
		pair := [2]ringdht.ID{m.Source, self}
		r.got[pair] = append(r.got[pair], binary.BigEndian.Uint32(m.Body))
	}, append(opts, ringdht.WithID(self))...)
}

// drop ends a node at once.
func (r *liarRing) drop(at int) {
	n := r.Nodes[at]
	r.Remove(n)
	n.Close()
	r.WaitGone(n.ID())
}

// exchange sends count messages between all pairs and waits until all have arrived. It returns how
// long that took.
func (r *liarRing) exchange(t *testing.T, from uint32, count int, skip func(from, to int) bool) time.Duration {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i, n := range r.Nodes {
		for j, to := range r.Nodes {
			if i == j || skip != nil && skip(i, j) {
				continue
			}
			wg.Go(func() {
				for k := range count {
					if err := n.Send(ctx, to.ID(), binary.BigEndian.AppendUint32(nil, from+uint32(k))); err != nil {
						t.Errorf("%d to %d: %v", n.ID(), to.ID(), err)
						return
					}
				}
				if err := n.Flush(ctx); err != nil {
					t.Errorf("flush of %d: %v", n.ID(), err)
				}
			})
		}
	}
	wg.Wait()
	return time.Since(start)
}

// check fails the test unless all messages arrived once and in order.
func (r *liarRing) check(t *testing.T, total int, skip func(from, to int) bool) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, n := range r.Nodes {
		for j, to := range r.Nodes {
			if i == j || skip != nil && skip(i, j) {
				continue
			}
			got := r.got[[2]ringdht.ID{n.ID(), to.ID()}]
			want := make([]uint32, total)
			for k := range want {
				want[k] = uint32(k)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d to %d: %v", n.ID(), to.ID(), got)
			}
		}
	}
}

// named lists the members that the registry names as liars.
func (r *liarRing) named() (ids []ringdht.ID) {
	for _, e := range r.Registry.Snapshot().Events {
		if e.Kind == status.EventLedAround {
			ids = append(ids, e.Node.ID)
		}
	}
	return ids
}

// MaxLeases is within how many leases every message has arrived.
const maxLeases = 7

// A member that passes nothing on, or not all, is found and led around. Every message arrives once,
// within maxLeases, and the member alone is named.
func TestLiarIsLedAround(t *testing.T) {
	for _, size := range []int{4, 12, 50} {
		for _, lie := range []struct {
			name string
			of   func(r *liarRing) func(f wire.Frame) bool
			min  int
		}{
			{"all", func(*liarRing) func(wire.Frame) bool { return func(wire.Frame) bool { return true } }, 0},
			{"data", func(*liarRing) func(wire.Frame) bool {
				return func(f wire.Frame) bool { return f.Type() == wire.Data }
			}, 4},
			{"all but traces", func(*liarRing) func(wire.Frame) bool {
				return func(f wire.Frame) bool { return f.Type() != wire.Trace && f.Type() != wire.Traced }
			}, 0},
			{"one sink", func(r *liarRing) func(wire.Frame) bool {
				sink := uint64(r.Nodes[(r.at+2)%len(r.Nodes)].ID())
				return func(f wire.Frame) bool { return f.Dst() == sink }
			}, 12},
			{"the next sink", func(r *liarRing) func(wire.Frame) bool {
				sink := uint64(r.Nodes[r.at+1].ID())
				return func(f wire.Frame) bool { return f.Dst() == sink }
			}, 12},
		} {
			if size < lie.min || size == 50 && ringtest.RaceEnabled { // a later step of .ci/run has these
				continue
			}
			t.Run(fmt.Sprintf("%s in a ring of %d", lie.name, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newLiarRing(t, size, size/2)
					defer r.Close()
					r.exchange(t, 0, 1, nil)
					r.liar.begin(r.Nodes[r.at].ID(), lie.of(r))
					took := r.exchange(t, 1, 3, nil)
					t.Logf("after %v: %+v", took, r.Registry.Snapshot().Sidelined)
					if took > maxLeases*ringtest.Lease {
						t.Errorf("it took %v", took)
					}
					took = r.exchange(t, 4, 3, nil)
					if took > time.Second {
						t.Errorf("with the liar led around it took %v", took)
					}
					time.Sleep(4 * ringtest.Lease)
					r.check(t, 7, nil)
					want := []ringdht.ID{r.Nodes[r.at].ID()}
					if size == 4 && lie.name == "data" { // one pair only is concerned
						want = nil
					}
					if ids := r.named(); !slices.Equal(ids, want) {
						t.Errorf("named are %v, the liar is %d", ids, r.Nodes[r.at].ID())
					}
					if a := r.Registry.Audit(); !a.OK() {
						t.Errorf("%v", a)
					}
					for _, e := range r.Registry.Snapshot().Events {
						if e.Kind == status.EventLedAround {
							t.Logf("%+v", e)
						}
					}
				})
			})
		}
	}
}

// Members that come and go around a stub, and its own new incarnation, lose no message.
func TestRingAroundAStub(t *testing.T) {
	for _, change := range []struct {
		name string
		do   func(r *liarRing)
	}{
		{"the node before it dies", func(r *liarRing) { r.drop(r.at - 1) }},
		{"the node behind it leaves", func(r *liarRing) { r.drop(r.at + 1) }},
		{"one joins before it", func(r *liarRing) { r.add(ringdht.ID(10*(r.at+1) - 5)) }},
		{"one joins behind it", func(r *liarRing) { r.add(ringdht.ID(10*(r.at+1) + 5)) }},
		{"another set-up", func(r *liarRing) { r.Setup(1) }},
		{"another plan", func(r *liarRing) { r.Setup(3, ringdht.FewestHops) }},
		{"it leaves", func(r *liarRing) { r.drop(r.at) }},
	} {
		t.Run(change.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLiarRing(t, 12, 6)
				defer r.Close()
				liar := r.Nodes[r.at].ID()
				r.exchange(t, 0, 1, nil)
				r.liar.begin(liar, func(wire.Frame) bool { return true })
				r.exchange(t, 1, 1, nil)
				time.Sleep(ringtest.Lease)
				if ids := r.named(); !slices.Equal(ids, []ringdht.ID{liar}) {
					t.Fatalf("named are %v", ids)
				}
				change.do(r)
				if err := r.Registry.WaitSettled(r.Ctx()); err != nil {
					t.Fatal(err)
				}
				r.mu.Lock()
				clear(r.got)
				r.mu.Unlock()
				for from := range uint32(2) {
					if took := r.exchange(t, from, 1, nil); took > ringtest.Lease {
						t.Errorf("it took %v", took)
					}
				}
				r.check(t, 2, nil)
				if a := r.Registry.Audit(); !a.OK() || a.Nodes != len(r.Nodes) {
					t.Errorf("%v", a)
				}
				if ids := r.named(); len(ids) != 1 {
					t.Errorf("named are %v", ids)
				}
			})
		})
	}
}

// A member that delays what it passes on is found if nothing comes through for as long as a stream
// may be silent. A shorter delay cannot be told from a slow path: messages arrive, later.
func TestMemberThatDelays(t *testing.T) {
	for _, c := range []struct {
		delay time.Duration
		found bool
	}{{time.Second, false}, {5 * time.Second, false}, {30 * time.Second, true}} {
		t.Run(c.delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLiarRing(t, 12, 6)
				defer r.Close()
				r.exchange(t, 0, 1, nil)
				r.liar.lies.Lock()
				r.liar.delay = c.delay
				r.liar.lies.Unlock()
				r.liar.begin(r.Nodes[r.at].ID(), func(wire.Frame) bool { return false })
				took := r.exchange(t, 1, 2, nil)
				t.Logf("delay %v: took %v, named %v", c.delay, took, r.named())
				time.Sleep(time.Minute)
				r.check(t, 3, nil)
				if found := len(r.named()) > 0; found != c.found || found && r.named()[0] != r.Nodes[r.at].ID() {
					t.Errorf("named are %v", r.named())
				}
			})
		})
	}
}

// Of two liars in a ring of 24, on the same routes or on others, each is led around. Every message
// arrives, and no other member is named.
func TestTwoLiars(t *testing.T) {
	for _, apart := range []int{1, 2, 7} {
		if apart > 1 && ringtest.RaceEnabled { // a later step of .ci/run has these
			continue
		}
		t.Run(fmt.Sprintf("%d apart", apart), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLiarRing(t, 24, 6, 6+apart)
				defer r.Close()
				r.exchange(t, 0, 1, nil)
				var want []ringdht.ID
				for i, l := range r.liars {
					id := r.Nodes[6+i*apart].ID()
					l.begin(id, func(wire.Frame) bool { return true })
					want = append(want, id)
				}
				took := r.exchange(t, 1, 1, nil)
				t.Logf("took %v, named %v", took, r.named())
				if took > 8*ringtest.Lease {
					t.Errorf("it took %v", took)
				}
				time.Sleep(ringtest.Lease)
				r.check(t, 2, nil)
				for _, s := range r.Registry.Snapshot().Sidelined {
					if !slices.Contains(want, s.Node.ID) {
						t.Errorf("led around is %+v", s)
					}
				}
				for _, id := range r.named() {
					if !slices.Contains(want, id) {
						t.Errorf("named are %v, the liars are %v", r.named(), want)
					}
				}
				// Where both came to light at once, each is named when it is found alone.
				rounds := uint32(0)
				for ; rounds < 120 && len(r.named()) < 2; rounds++ {
					r.exchange(t, 2+rounds, 1, nil)
					time.Sleep(ringtest.Lease)
				}
				t.Logf("named are %v after %d rounds", r.named(), rounds)
				r.check(t, 2+int(rounds), nil)
				for _, id := range want {
					if !slices.Contains(r.named(), id) {
						t.Errorf("named are %v, the liars are %v", r.named(), want)
					}
				}
			})
		})
	}
}
