package plane

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/memnet"
)

// mesh is a ring of planes linked by hand, without a registry. Their IDs are 10, 20, 30 and so
// on.
type mesh struct {
	t      testing.TB
	planes []*Plane
}

func testLimits() Limits {
	return Limits{
		SendBuffer: 8 << 20, ReceiveBuffer: 8 << 20, HandlerBacklog: 16 << 20,
		LinkQueue: 4 << 20, LinkLow: 256 << 10, Handlers: 16, Streams: 64,
	}
}

// newMesh makes n planes with tables of k entries. pipe makes the connections; deliver may be
// nil.
func newMesh(t testing.TB, n, k int, limits Limits, pipe func(testing.TB) (net.Conn, net.Conn), deliver func(node int) Deliver, change ...func(*Config)) *mesh {
	t.Helper()
	m := &mesh{t: t}
	t.Cleanup(m.close)
	for i := range n {
		d := func(context.Context, *Delivery) {}
		if deliver != nil {
			d = deliver(i)
		}
		c := Config{
			Self: uint64(i+1) * 10, Incarnation: uint64(i) + 100, Bits: 16, MaxPayload: 64 << 10, HopLimit: 1000,
			Limits: limits, Deliver: d, Log: slog.New(slog.DiscardHandler),
		}
		for _, f := range change {
			f(&c)
		}
		m.planes = append(m.planes, New(c))
	}
	for i, p := range m.planes {
		var ids []uint64
		for _, e := range ring.AppendPositions(nil, n, i, ring.Entries(n, k)) {
			near, far := pipe(t)
			to := m.planes[e]
			ids = append(ids, to.Self)
			p.AddLink(to.Self, to.Incarnation, near)
			go to.Receive(far, p.Self, p.Incarnation, nil, nil)
		}
		p.SetRoutes(table(p, 1, ids...))
	}
	return m
}

// table returns routes with these entries, the first of which is the successor.
func table(p *Plane, epoch uint64, entries ...uint64) Routes {
	r := Routes{Epoch: epoch, Entries: entries, Authoritative: true, Successor: p.Self}
	if len(entries) > 0 {
		r.Successor = entries[0]
	}
	return r
}

func (m *mesh) close() {
	for _, p := range m.planes {
		p.Close(net.ErrClosed)
	}
}

func memory(testing.TB) (net.Conn, net.Conn) { return memnet.Pipe() }

func tcp(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return near, <-accepted
}
