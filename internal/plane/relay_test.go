package plane

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"testing"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

func newNode(t testing.TB, limits Limits) *Plane {
	p := New(Config{
		Self: 20, Incarnation: 100, Bits: 16, MaxPayload: 64 << 10, HopLimit: 1000,
		Limits: limits, Deliver: nothing, Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() { p.Close(net.ErrClosed) })
	return p
}

// newRelay makes a node 20 between 10 and 30: from writes to it, and to reads what it relays.
func newRelay(t testing.TB) (p *Plane, from net.Conn, to *link.Reader) {
	t.Helper()
	p = newNode(t, testLimits())
	near, far := memnet.Pipe()
	p.AddLink(30, 1, near)
	p.SetRoutes(table(p, 1, 30))
	from, in := memnet.Pipe()
	go p.Receive(in, 10, 1, nil, nil)
	return p, from, link.NewReader(far, wire.Scan, 1<<20)
}

// A relay changes the hop count and nothing else, for any body.
func TestRelayPassesBytesOn(t *testing.T) {
	_, from, to := newRelay(t)
	for _, f := range []wire.Frame{
		wire.Append(nil, wire.Header{Type: wire.Data, Port: 3, Hops: 7, Dst: 40, Src: 5, Seq: 99}, bytes.Repeat([]byte{0xff, 0xc1, '{'}, 999)),
		wire.Append(nil, wire.Header{Type: wire.Data, Dst: 30, Src: 5}, nil),
		wire.Append(nil, wire.Header{Type: wire.Ack, Dst: 31, Src: 5}, []byte("no acknowledgement at all")),
	} {
		if _, err := from.Write(f); err != nil {
			t.Fatal(err)
		}
		got, err := to.Next()
		if err != nil {
			t.Fatal(err)
		}
		want := wire.Frame(bytes.Clone(f))
		want.SetHops(f.Hops() + 1)
		if !bytes.Equal(got, want) {
			t.Errorf("%v passed on as %x, want %x", f.Type(), got, want)
		}
	}
}

func TestRelayAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops things under the race detector")
	}
	p, from, to := newRelay(t)
	const frames = 500
	var batch []byte
	for i := range frames {
		if i%5 == 0 {
			batch = append(batch, bundle(wire.Header{Dst: 40, Src: 5, Seq: uint64(i)}, "one", "", "three")...)
			continue
		}
		batch = wire.Append(batch, wire.Header{Type: wire.Data, Dst: 40, Src: 5, Seq: uint64(i)}, make([]byte, i%300))
	}
	pass := func() {
		if _, err := from.Write(batch); err != nil {
			t.Fatal(err)
		}
		for left := len(batch); left > 0; {
			got, err := to.Next()
			if err != nil {
				t.Fatal(err)
			}
			left -= len(got)
		}
	}
	pass()
	const runs = 100
	if allocs := testing.AllocsPerRun(runs, pass); allocs/frames > 0.001 {
		t.Errorf("%v allocations for %d relayed messages", allocs, frames)
	}
	if got := p.Counters().Relayed; got < (frames+frames/5*2)*runs {
		t.Errorf("relayed %d", got)
	}
}

// The rules by which a relay drops a frame.
func TestRelayRefuses(t *testing.T) {
	p, from, to := newRelay(t)
	sent := func(h wire.Header, body []byte) {
		t.Helper()
		if _, err := from.Write(wire.Append(nil, h, body)); err != nil {
			t.Fatal(err)
		}
	}
	told := func(want wire.NoRouteBody, seq uint64) {
		t.Helper()
		f, err := to.Next()
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.ParseNoRoute(wire.Frame(f).Body())
		if err != nil || got != want || wire.Frame(f).Seq() != seq || wire.Frame(f).Src() != 20 {
			t.Errorf("%+v %v, want %+v", got, err, want)
		}
	}
	// No node is between 20 and its successor 30.
	sent(wire.Header{Type: wire.Data, Dst: 25, Src: 5, Seq: 4}, []byte("x"))
	told(wire.NoRouteBody{Type: wire.Data, Reason: wire.NoSuchNode, Dst: 25}, 4)
	// Too many links.
	sent(wire.Header{Type: wire.Sync, Hops: 999, Dst: 40, Src: 5, Seq: 6}, nil)
	told(wire.NoRouteBody{Type: wire.Sync, Reason: wire.HopLimit, Dst: 40}, 6)
	sent(wire.Header{Type: wire.Sync, Hops: 65535, Dst: 40, Src: 5, Seq: 7}, nil)
	told(wire.NoRouteBody{Type: wire.Sync, Reason: wire.HopLimit, Dst: 40}, 7)
	// Answers are never answered, and a frame that passed its sink is dropped: from 10, the node
	// 15 lies before 20.
	for _, quiet := range []wire.Type{wire.Opened, wire.Refuse, wire.Ack, wire.Reset, wire.Closed, wire.Cast, wire.Traced, wire.NoRoute} {
		sent(wire.Header{Type: quiet, Dst: 25, Src: 5}, nil)
	}
	sent(wire.Header{Type: wire.Data, Dst: 15, Src: 5}, nil)
	sent(wire.Header{Type: wire.Data, Dst: 30, Src: 5, Seq: 77}, nil)
	if f, err := to.Next(); err != nil || wire.Frame(f).Seq() != 77 {
		t.Errorf("something was passed on or answered: %x %v", f, err)
	}
	c := p.Counters()
	if c.Dropped.NoRoute != 9 || c.Dropped.HopLimit != 2 || c.Dropped.Overshoot != 1 {
		t.Errorf("counters: %+v", c.Dropped)
	}
}

// A full queue costs frames and delays nothing else.
func TestRelayDropsWhenItsQueueIsFull(t *testing.T) {
	limits := testLimits()
	limits.LinkQueue = 64 << 10
	p := newNode(t, limits)
	stuck, _ := memnet.Pipe() // the other end is never read
	near, far := memnet.Pipe()
	p.AddLink(30, 1, stuck)
	p.AddLink(60, 1, near)
	p.SetRoutes(table(p, 1, 30, 60))
	from, in := memnet.Pipe()
	go p.Receive(in, 10, 1, nil, nil)
	to := link.NewReader(far, wire.Scan, 1<<20)

	frame := wire.Append(nil, wire.Header{Type: wire.Data, Dst: 40, Src: 5}, make([]byte, 1000))
	for range 300 {
		if _, err := from.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := from.Write(wire.Append(nil, wire.Header{Type: wire.Data, Dst: 60, Src: 5, Seq: 8}, nil)); err != nil {
		t.Fatal(err)
	}
	if f, err := to.Next(); err != nil || wire.Frame(f).Seq() != 8 {
		t.Fatalf("the other link is held up: %v", err)
	}
	c := p.Counters()
	if c.Dropped.QueueFull == 0 || c.Queued > 64<<10 {
		t.Errorf("dropped %d, queued %d", c.Dropped.QueueFull, c.Queued)
	}
}

// The path from handler to handler of many messages, in the steady state.
func TestDeliveryAllocatesNextToNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops things under the race detector")
	}
	m := newMesh(t, 3, 1, testLimits(), memory, nil)
	body := make([]byte, 8)
	const messages = 20000
	send := func() {
		for range messages {
			if err := m.planes[0].Send(t.Context(), 30, 0, body); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := m.planes[0].Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	send()
	if allocs := testing.AllocsPerRun(5, send); allocs/messages > 0.01 {
		t.Errorf("%.4f allocations per message", allocs/messages)
	}
}

// The next hop on its own allocates nothing.
func TestNextHopAllocatesNothing(t *testing.T) {
	ids := []uint64{30, 40, 60, 100}
	if allocs := testing.AllocsPerRun(100, func() {
		ring.ClosestPreceding(0xffff, uint64(20), 77, ids)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// Messages of one source stay in order and are delivered once while tables change.
func TestSetRoutesKeepsLinksThatStay(t *testing.T) {
	var got []uint64
	m := newMesh(t, 3, 2, testLimits(), memory, func(node int) Deliver {
		return func(_ context.Context, d *Delivery) {
			if node == 2 {
				got = append(got, uint64(d.Body[0]))
			}
		}
	})
	p := m.planes[0]
	for i := range byte(100) {
		if err := p.Send(t.Context(), 30, 0, []byte{i}); err != nil {
			t.Fatal(err)
		}
		switch i {
		case 30:
			p.SetRoutes(table(p, 2, 20)) // by way of 20, the direct link is retired
		case 60:
			near, far := memnet.Pipe()
			p.AddLink(30, m.planes[2].Incarnation, near)
			go m.planes[2].Receive(far, p.Self, p.Incarnation, nil, nil)
			p.SetRoutes(table(p, 3, 20, 30))
		}
	}
	if failed, err := p.Flush(t.Context()); err != nil || failed != nil {
		t.Fatal(failed, err)
	}
	if len(got) != 100 || !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}
}

// Messages to a sink that is known to exist do not wait for the stream. If the sink is gone after
// all, Flush tells how many were lost.
func TestEarlyMessages(t *testing.T) {
	var got []byte
	m := newMesh(t, 3, 1, testLimits(), memory, func(int) Deliver {
		return func(_ context.Context, d *Delivery) { got = append(got, d.Body...) }
	})
	p := m.planes[0]
	p.SetRoutes(table(p, 2, 20))
	p.SetMembers([]uint64{30, 20, 25}, nil, false)
	for i := range byte(100) { // more than are accepted early, so that some wait
		if err := p.Send(t.Context(), 30, 0, []byte{i}); err != nil {
			t.Fatal(err)
		}
	}
	if failed, err := p.Flush(t.Context()); err != nil || failed != nil {
		t.Fatal(failed, err)
	}
	if len(got) != 100 || !slices.IsSorted(got) {
		t.Errorf("got %d", got)
	}
	accepted := uint64(0)
	for range 3 { // from the second on, the answer that the ID is not taken may be faster
		switch err := p.Send(t.Context(), 25, 0, nil); {
		case err == nil:
			accepted++
		case !errors.Is(err, stream.ErrNoSuchNode):
			t.Fatal(err)
		}
	}
	failed, err := p.Flush(t.Context())
	if err != nil || len(failed) != 1 || failed[0].Sink != 25 || failed[0].Messages != accepted {
		t.Errorf("%d accepted, got %+v %v", accepted, failed, err)
	}
	if c := p.Counters(); c.SendBuffer != 0 || c.HandlerBacklog != 0 {
		t.Errorf("still held: %+v", c)
	}
}
