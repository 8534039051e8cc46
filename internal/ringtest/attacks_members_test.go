package ringtest_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// The rows of TestAttacks by members that lie, in their own name.

// thief is a member that takes what it should pass on to a sink, and acknowledges it in the sink's name.
type thief struct {
	id   uint64
	sink *ringtest.Node

	mu   sync.Mutex
	link net.Conn                 // to the sink, which passes answers on around the ring
	took map[uint64]*control.Pair // by source; nil while it is honest
}

// takes returns the answer to a frame that the thief keeps, or nil.
func (th *thief) takes(fr wire.Frame) []byte {
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.took == nil || fr.Type().ConnectionOnly() || fr.Dst() != uint64(th.sink.ID()) || fr.Src() == th.id {
		return nil
	}
	if fr.Type() == wire.Data {
		p := th.took[fr.Src()]
		if p == nil {
			p = new(control.Pair)
			th.took[fr.Src()] = p
		}
		for m := wire.Walk(fr); m.Next(); {
			p.N++
			p.Sum += int64(int32(binary.BigEndian.Uint32(m.Body)))
		}
	}
	return answerFor(th.sink, fr)
}

// answers sends an answer. Links may carry frames of one direction only, so it goes around the ring.
func (th *thief) answers(b []byte) {
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.link != nil {
		th.link.Write(b)
	}
}

// inside makes a link of the thief.
func (th *thief) inside(addr string, conn net.Conn) net.Conn {
	if addr == th.sink.Peer().Addr {
		th.mu.Lock()
		defer th.mu.Unlock()
		th.link = conn
	}
	return &thiefConn{Conn: conn, thief: th}
}

// reports has what the thief took in its accounts of a run, as received.
func (th *thief) reports(is wire.Type, body []byte) []byte {
	th.mu.Lock()
	defer th.mu.Unlock()
	switch is {
	case control.TypeSummary:
		return ringtest.Rewrite(body, func(s *control.Summary) {
			for _, p := range th.took {
				s.Received, s.SumReceived = s.Received+p.N, s.SumReceived+p.Sum
			}
		})
	case control.TypePairs:
		return ringtest.Rewrite(body, func(pairs *control.Pairs) {
			for source, p := range th.took {
				if i := slices.IndexFunc(pairs.Received, func(q control.Pair) bool { return q.ID == source }); i >= 0 {
					pairs.Received[i].N += p.N
					pairs.Received[i].Sum += p.Sum
				} else {
					pairs.Received = append(pairs.Received, control.Pair{ID: source, N: p.N, Sum: p.Sum})
				}
			}
		})
	}
	return body
}

// thiefConn is a link of the thief.
type thiefConn struct {
	net.Conn
	thief *thief
	part  []byte       // of a frame that is not whole
	kept  bytes.Buffer // for the node
}

func (c *thiefConn) Read(b []byte) (int, error) {
	for c.kept.Len() == 0 {
		n, err := c.Conn.Read(b)
		if err != nil {
			return n, err
		}
		c.part = append(c.part, b[:n]...)
		for len(c.part) >= wire.PrefixSize && len(c.part) >= wire.Size(c.part) {
			var fr wire.Frame
			fr, c.part = wire.Next(c.part)
			if answer := c.thief.takes(fr); answer != nil {
				c.thief.answers(answer)
			} else {
				c.kept.Write(fr)
			}
		}
	}
	return c.kept.Read(b)
}

// liar adds a member that may lie, and waits until it has its place.
func (f *field) liar(id ringdht.ID, opts ...ringdht.NodeOption) (*ringtest.Node, *ringtest.Tamper) {
	n, tamper := f.JoinLiar(append(opts, ringdht.WithTraffic(), ringdht.WithID(id))...)
	f.WaitSettled()
	return n, tamper
}

// leaves has a member that lied leave.
func (f *field) leaves(n *ringtest.Node) {
	f.Remove(n)
	n.Close()
	f.WaitGone(n.ID())
	f.WaitSettled()
}

// The member sits before the sink, and all streams to the sink lead through it. It reports what it took
// over its own connection to the registry.
func (f *field) swallows(t *testing.T) (harm bool) {
	th := &thief{id: uint64(f.b.ID()) - 1, sink: f.b}
	n, tamper := f.liar(ringdht.ID(th.id), ringtest.WithNodeConfig(func(c *node.Config) {
		c.Inside = th.inside
	}))
	f.Run(status.Traffic{Messages: 100})
	th.mu.Lock()
	th.took = make(map[uint64]*control.Pair)
	th.mu.Unlock()
	tamper.Set(th.reports)
	s, err := f.Registry.RunTraffic(f.Ctx(), status.Traffic{Messages: 400})
	if err != nil {
		t.Fatal(err)
	}
	th.mu.Lock()
	var took int64
	for _, p := range th.took {
		took += p.N
	}
	sources := len(th.took)
	th.took = nil
	th.mu.Unlock()
	tamper.Set(nil)
	t.Logf("it took %d messages of %d sources: %s", took, sources, s.Verdict())
	if sources != 3 || s.Sum.Sent != s.Sum.Received || s.Sum.SumSent != s.Sum.SumReceived {
		t.Errorf("it took messages of %d sources, and the sums are %+v", sources, s.Sum)
	}
	if s.Exact() || !strings.HasPrefix(s.Verdict(), "WRONG: node 9 reports as its own what nodes") || !slices.Contains(s.Doubtful, n.ID()) {
		t.Errorf("doubtful %v: %s", s.Doubtful, s.Verdict())
	}
	f.leaves(n)
	return took > 0
}

// The member alone is named, all messages arrive, and the ring goes on without it.
func (f *field) passesNothingOn(t *testing.T) (harm bool) {
	l := new(liar)
	n, _ := f.liar(25, l.option())
	f.Exchange(f.Nodes...)
	f.Ring.Liar = true
	l.begin(25, func(wire.Frame) bool { return true })
	start := time.Now()
	f.Exchange(f.Nodes...)
	f.Exchange(f.Nodes...)
	took := time.Since(start)
	time.Sleep(ringtest.Lease)
	var named []status.ID
	for _, e := range eventsOf(f.Registry.Snapshot(), status.EventLedAround) {
		named = append(named, e.Node.ID)
	}
	t.Logf("all messages arrived after %v, named are %v", took, named)
	f.leaves(n)
	return took > maxLeases*ringtest.Lease || !slices.Equal(named, []status.ID{25})
}

func (f *field) reportsFalsely(t *testing.T) (harm bool) {
	n, tamper := f.liar(25)
	tamper.Set(func(is wire.Type, body []byte) []byte {
		if is == control.TypeSummary {
			return ringtest.Rewrite(body, func(s *control.Summary) { s.Received = 1e12 })
		}
		return body
	})
	s, err := f.Registry.RunTraffic(f.Ctx(), status.Traffic{Messages: 100})
	if err != nil {
		t.Fatal(err)
	}
	tamper.Set(nil)
	f.leaves(n)
	t.Log(s.Verdict())
	return !strings.HasPrefix(s.Verdict(), "WRONG: node 25 reports 1000000000000 messages received") || !slices.Equal(s.Doubtful, []status.ID{25})
}

// The link is a member's own: in a secure ring it has that member's key.
func (f *field) forgesSources(t *testing.T) (harm bool) {
	victim, before := f.b, f.b.Status()
	if conn := f.link(t, victim, f.a); f.Secure && conn != nil {
		t.Error("a stranger has a link")
	} else if conn != nil {
		conn.Close()
	}
	var all []byte
	for i := range 66_000 {
		all = append(all, open(uint64(victim.ID()), uint64(i), uint64(1+i), 1)...)
	}
	// The member has a link of its own, and dials again where it lost it. The later of two links
	// replaces the earlier, so that a link may end before anything is written.
	link := f.Link(t, victim, ringtest.RefOf(f.a))
	for n, err := link.Write(all); err != nil && n == 0; n, err = link.Write(all) {
		link = f.Link(t, victim, ringtest.RefOf(f.a))
	}
	synctest.Wait()
	after := victim.Status()
	opened, refused := after.Streams.Incoming-before.Streams.Incoming, after.Counters.Dropped.Refused-before.Counters.Dropped.Refused
	n := f.Join(nil, ringdht.WithTraffic(), ringdht.WithID(25)) // a new source
	f.WaitSettled()
	start := time.Now()
	f.Run(status.Traffic{Messages: 1000})
	took := time.Since(start)
	f.leaves(n)
	link.Close()
	time.Sleep(3 * time.Minute)
	left := victim.Status().Streams.Incoming
	t.Logf("%d streams, %d refused; a run took %v; %d streams are left", opened, refused, took, left)
	return opened > 1024 || refused < 60_000 || took > time.Second || left > 4
}

// The member is dead after the pace that it was granted.
func (f *field) claimsPace(t *testing.T) (harm bool) {
	n, _ := f.liar(25)
	ringtest.NodeOf(n).Tell(control.TypeBeat, control.Beat{Every: 1 << 31})
	synctest.Wait()
	start := time.Now()
	f.Net.Hold("n4", "registry")
	f.Net.Hold("registry", "n4")
	f.WaitGone(25)
	took := time.Since(start)
	t.Logf("gone after %v", took)
	f.Remove(n)
	n.Close()
	f.WaitSettled()
	return took > 2*ringtest.Lease
}
