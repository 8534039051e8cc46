package ringdht

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// census is a transport that counts the connections that were dialled over it and
// stand, but for those to the registry.
type census struct {
	Transport
	registry string
	open     *atomic.Int32
	refuse   atomic.Pointer[string] // an address that cannot be dialled
}

type censusConn struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *censusConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

func (c *census) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if to := c.refuse.Load(); to != nil && *to == addr {
		return nil, errors.New("no way there")
	}
	conn, err := c.Transport.Dial(ctx, addr)
	if err != nil || addr == c.registry {
		return conn, err
	}
	c.open.Add(1)
	return &censusConn{Conn: conn, open: c.open}, nil
}

// withCensus is a ring of n nodes whose connections are counted, over memory and TCP.
func withCensus(t *testing.T, n int, f func(t *testing.T, tr *testRing, over []*census, open *atomic.Int32)) {
	for name, mem := range map[string]*MemoryNetwork{"memory": NewMemoryNetwork(1), "tcp": nil} {
		t.Run(name, func(t *testing.T) {
			log := newTestLog()
			tr := newTestRing(t, mem, log.option().(RegistryOption))
			open := new(atomic.Int32)
			var over []*census
			for i := range n {
				c := &census{Transport: TCP{}, registry: tr.addr, open: open}
				if mem != nil {
					c.Transport = mem.Host(fmt.Sprintf("n%d", i))
				}
				over = append(over, c)
				tr.join(nil, WithTransport(c), WithTraffic())
			}
			f(t, tr, over, open)
			log.mu.Lock()
			defer log.mu.Unlock()
			if strings.Contains(strings.ReplaceAll(log.b.String(), "level=WARN msg=degraded", ""), "level=WARN") {
				t.Error(log.b.String())
			}
		})
	}
}

func settles(t *testing.T, open *atomic.Int32, want int32) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); open.Load() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections, want %d", open.Load(), want)
		}
	}
}

// Nodes that are entries of each other need one connection, also where all of them dial
// at once, and after every change of tables.
func TestOneConnectionForEachPair(t *testing.T) {
	for _, n := range []int{2, 3, 4} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			withCensus(t, n, func(t *testing.T, tr *testRing, _ []*census, open *atomic.Int32) {
				full := map[int]int32{2: 1, 3: 3, 4: 6}[n] // 4 nodes: 1 and 2 positions ahead, 2 of which are shared
				one := int32(n)
				if n == 2 {
					one = 1
				}
				for range 3 {
					tr.setup(0)
					tr.run(Traffic{Messages: 20000})
					settles(t, open, full)
					tr.setup(1)
					tr.run(Traffic{Messages: 20000})
					settles(t, open, one)
				}
			})
		})
	}
}

// A node that cannot dial a peer has a link to it all the same if the peer has dialled,
// and nobody stays led around anybody.
func TestNodeThatCannotDial(t *testing.T) {
	withCensus(t, 2, func(t *testing.T, tr *testRing, over []*census, open *atomic.Int32) {
		addr := tr.nodes[1].Peer().Addr
		over[0].refuse.Store(&addr)
		tr.setup(0)
		tr.run(Traffic{Messages: 1000})
		settles(t, open, 1)
		if err := tr.registry.await(tr.ctx(), func() bool { return len(tr.registry.members.Parted()) == 0 }); err != nil {
			t.Error(err)
		}
	})
}

// A node that leaves loses nothing over connections that both sides use.
func TestLeaveOverASharedConnection(t *testing.T) {
	withCensus(t, 3, func(t *testing.T, tr *testRing, _ []*census, open *atomic.Int32) {
		tr.setup(0)
		settles(t, open, 3)
		leaver, others := tr.nodes[0], tr.nodes[1:]
		var wg sync.WaitGroup
		for _, n := range others {
			wg.Go(func() {
				for range 5000 {
					if err := n.Send(tr.ctx(), leaver.ID(), []byte("to who leaves")); err != nil {
						t.Error(err)
						return
					}
				}
			})
			wg.Go(func() {
				for range 5000 {
					if err := leaver.Send(tr.ctx(), n.ID(), []byte("from who leaves")); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if err := leaver.Leave(tr.ctx()); err != nil {
			t.Error(err)
		}
		// What had not arrived at the cut has come back.
		back := int64(0)
		for _, n := range others {
			err := n.Flush(tr.ctx())
			var lost *UndeliveredError
			if err != nil && !errors.As(err, &lost) {
				t.Fatal(err)
			}
			for _, u := range lost.streams() {
				back += int64(u.NotHandled)
				if u.NotHandled != u.Messages {
					t.Error(err)
				}
			}
			if got := n.Status().Counters.Delivered; got != 5000 {
				t.Errorf("node %d has %d of 5000 messages of the leaver", n.ID(), got)
			}
		}
		if got := leaver.Status().Counters.Delivered; got+back != 2*5000 {
			t.Errorf("the leaver has handled %d messages, and %d came back, of %d", got, back, 2*5000)
		}
		settles(t, open, 1)
	})
}

// streams are those of an error that may be nil.
func (e *UndeliveredError) streams() []Undelivered {
	if e == nil {
		return nil
	}
	return e.Streams
}
