package ringtest_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// links is what happens to the frames that a node writes to its peers.
type links struct {
	plain   bool // it is of an earlier program: it takes no bundles
	lose    *atomic.Int64
	bundles *atomic.Int64 // messages that shared a frame
	lost    *atomic.Int64
}

// option makes a node write by these links, also above TLS.
func (l links) option(seed uint64) ringdht.NodeOption {
	return ringtest.WithConfig(func(c *handshake.Config) {
		c.Inside = func(_ string, conn net.Conn) net.Conn {
			return &changed{Conn: conn, links: l, rng: rand.New(rand.NewPCG(seed, 0))}
		}
	})
}

// earlierProgram makes a node one that takes no bundles.
func earlierProgram() ringdht.NodeOption {
	return links{plain: true, lose: new(atomic.Int64), bundles: new(atomic.Int64), lost: new(atomic.Int64)}.option(1)
}

// changed is a connection of links. Frames of other connections, as with the registry, pass as they are.
type changed struct {
	net.Conn
	links

	mu   sync.Mutex
	rng  *rand.Rand
	late wire.Frame
}

func (c *changed) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, rest := make([]byte, 0, len(b)), b
	for n := wire.Whole(rest, 1<<20); n > 0; n = wire.Whole(rest, 1<<20) {
		f := append(wire.Frame(nil), rest[:n]...)
		rest = rest[n:]
		if f.Type().ConnectionOnly() {
			out = append(out, f...)
			continue
		}
		if c.plain && f.Type() == wire.Opened && f.Hops() == 0 { // its own
			f[7] &^= 2
		}
		if n := f.Messages(); n > 1 && f.Hops() == 0 {
			c.bundles.Add(int64(n))
		}
		switch x := c.rng.Int64N(1000); {
		case x < c.lose.Load():
			c.lost.Add(int64(f.Messages()))
		case x < 2*c.lose.Load() && len(c.late) == 0:
			c.late = f
		default:
			out = append(append(out, f...), c.late...)
			c.late = nil
		}
	}
	if _, err := c.Conn.Write(append(out, rest...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// On a ring of programs of which some take no bundles, all accounts are exact: at rest, while links lose
// frames and overtake others, and while members join and die.
func TestMixedPrograms(t *testing.T) {
	tr := ringtest.New(t, memnet.New(3))
	var lose, bundles, lost atomic.Int64
	join := func() {
		n := uint64(len(tr.Nodes))
		l := links{plain: n%3 == 0, lose: &lose, bundles: &bundles, lost: &lost}
		tr.Join(nil, ringdht.WithTraffic(), l.option(n))
	}
	for range 9 {
		join()
	}
	tr.Setup(2)
	messages := 20_000
	if testing.Short() || ringtest.RaceEnabled {
		messages = 2000
	}
	s := tr.Run(status.Traffic{Messages: messages})
	ringtest.CheckRelayed(t, s)
	if all := s.Sum.Sent; bundles.Load() < all/10 || bundles.Load() > all*9/10 {
		t.Errorf("%d of %d messages shared a frame, where a third of the nodes take none", bundles.Load(), all)
	}

	lose.Store(2) // in a thousand
	s = tr.Run(status.Traffic{Messages: messages})
	if s.Sum.Relayed < s.Hops-s.Sum.Received+s.Wasted || lost.Load() == 0 {
		t.Errorf("%d relayed, at least %d are right: %d hops, %d received, %d wasted, %d lost", s.Sum.Relayed, s.Hops-s.Sum.Received+s.Wasted, s.Hops, s.Sum.Received, s.Wasted, lost.Load())
	}

	done := tr.StartRun(status.Traffic{Messages: 1 << 30}) // it goes on until all that has happened
	join()
	dead := tr.Nodes[4]
	tr.Remove(dead)
	dead.Close()
	join()
	if err := tr.Registry.StopTraffic(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	if s = <-done; s == nil || !s.Balanced() || s.Sum.Sent != s.Sum.Received+s.Sum.Unknown {
		t.Fatalf("%+v", s)
	}
	lose.Store(0)
	if err := tr.Registry.WaitMembers(tr.Ctx(), len(tr.Nodes)); err != nil {
		t.Fatal(err)
	}
	tr.Setup(3)
	tr.Run(status.Traffic{Messages: messages})
}
