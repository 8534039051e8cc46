package ringtest_test

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

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// census is a transport that counts the open connections that were dialled over it. Those to
// the registry do not count.
type census struct {
	ringdht.Transport
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
		return nil, errors.New("refused by the test")
	}
	conn, err := c.Transport.Dial(ctx, addr)
	if err != nil || addr == c.registry {
		return conn, err
	}
	c.open.Add(1)
	return &censusConn{Conn: conn, open: c.open}, nil
}

// withCensus runs a test on a ring of n nodes whose connections are counted, over memory and
// over TCP. No member may log a warning.
func withCensus(t *testing.T, n int, f func(t *testing.T, tr *ringtest.Ring, over []*census, open *atomic.Int32)) {
	for name, mem := range map[string]*memnet.Network{"memory": memnet.New(1), "tcp": nil} {
		t.Run(name, func(t *testing.T) {
			log := ringtest.NewLog()
			tr := ringtest.New(t, mem, log.Option().(ringdht.RegistryOption))
			open := new(atomic.Int32)
			var over []*census
			for i := range n {
				c := &census{Transport: ringdht.TCP{}, registry: tr.Addr, open: open}
				if mem != nil {
					c.Transport = mem.Host(fmt.Sprintf("n%d", i))
				}
				over = append(over, c)
				tr.Join(nil, ringdht.WithTransport(c), ringdht.WithTraffic())
			}
			f(t, tr, over, open)
			expected := strings.NewReplacer("level=WARN msg=degraded", "", `level=WARN msg="the ring's key is kept in memory only`, "")
			if strings.Contains(expected.Replace(log.Text()), "level=WARN") {
				t.Error(log.Text())
			}
		})
	}
}

// settles waits until this many connections are open.
func settles(t *testing.T, open *atomic.Int32, want int32) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); open.Load() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections, want %d", open.Load(), want)
		}
	}
}

// Nodes that are entries of each other need one connection. This holds if all dial at once, and
// after every change of tables.
func TestOneConnectionForEachPair(t *testing.T) {
	messages := 20_000
	if ringtest.RaceEnabled { // a later step of .ci/run sends them all
		messages = 2000
	}
	for _, n := range []int{2, 3, 4} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			withCensus(t, n, func(t *testing.T, tr *ringtest.Ring, _ []*census, open *atomic.Int32) {
				full := map[int]int32{2: 1, 3: 3, 4: 6}[n] // 4 nodes: 1 and 2 positions ahead, 2 of which are shared
				one := int32(n)
				if n == 2 {
					one = 1
				}
				for range 3 {
					tr.Setup(0)
					tr.Run(status.Traffic{Messages: messages})
					settles(t, open, full)
					tr.Setup(1)
					tr.Run(status.Traffic{Messages: messages})
					settles(t, open, one)
				}
			})
		})
	}
}

// A node that cannot dial a peer has a link to it if the peer has dialled. Then no pair counts
// as unreachable, and no detour stays.
func TestNodeThatCannotDial(t *testing.T) {
	withCensus(t, 2, func(t *testing.T, tr *ringtest.Ring, over []*census, open *atomic.Int32) {
		addr := tr.Nodes[1].Peer().Addr
		over[0].refuse.Store(&addr)
		tr.Setup(0)
		tr.Run(status.Traffic{Messages: 1000})
		settles(t, open, 1)
		if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return len(ringtest.RegistryOf(tr.Registry).Authority().Unreachable()) == 0 }); err != nil {
			t.Error(err)
		}
	})
}

// A node that leaves loses nothing over connections that both sides use.
func TestLeaveOverASharedConnection(t *testing.T) {
	withCensus(t, 3, func(t *testing.T, tr *ringtest.Ring, _ []*census, open *atomic.Int32) {
		tr.Setup(0)
		settles(t, open, 3)
		leaver, others := tr.Nodes[0], tr.Nodes[1:]
		var wg sync.WaitGroup
		for _, n := range others {
			wg.Go(func() {
				for range 5000 {
					if err := n.Send(tr.Ctx(), leaver.ID(), []byte("to the leaver")); err != nil {
						t.Error(err)
						return
					}
				}
			})
			wg.Go(func() {
				for range 5000 {
					if err := leaver.Send(tr.Ctx(), n.ID(), []byte("from the leaver")); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if err := leaver.Leave(tr.Ctx()); err != nil {
			t.Error(err)
		}
		// What had not arrived when the node left has come back.
		back := int64(0)
		for _, n := range others {
			err := n.Flush(tr.Ctx())
			var lost *status.UndeliveredError
			if err != nil && !errors.As(err, &lost) {
				t.Fatal(err)
			}
			for _, u := range streams(lost) {
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

// streams returns the streams of an error that may be nil.
func streams(e *status.UndeliveredError) []status.Undelivered {
	if e == nil {
		return nil
	}
	return e.Streams
}
