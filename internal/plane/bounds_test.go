package plane

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// eventually polls until a condition is true.
func eventually(t *testing.T, what string, true_ func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !true_(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not true yet: ", what)
		}
	}
}

func held(release <-chan struct{}) func(int) Deliver {
	return func(int) Deliver {
		return func(ctx context.Context, _ *Delivery) {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	}
}

// One slow sink takes no more than its share of the send buffer, and all of them together no more
// than all of it.
func TestSendBufferIsShared(t *testing.T) {
	const sinks, buffer, size = 12, 64 << 10, 1000
	limits := testLimits()
	limits.SendBuffer = buffer
	release := make(chan struct{})
	m := newMesh(t, sinks+1, 4, limits, memory, held(release))
	p := m.planes[0]
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	fill := func(sink uint64) {
		wg.Go(func() {
			for p.Send(ctx, sink, 0, make([]byte, size)) == nil {
			}
		})
	}
	waits := func(sink uint64) bool { // something was accepted, and the next Send waits
		o := p.findOutbound(sink, 0)
		if o == nil {
			return false
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.s.Pending() > 0 && o.changed.Awaited()
	}
	fill(20)
	eventually(t, "the slow sink's source waits", func() bool { return waits(20) })
	if used := p.Counters().SendBuffer; used > buffer/4 || used == 0 {
		t.Errorf("one slow sink holds %d bytes, its share is %d", used, buffer/4)
	}
	for i := range uint64(sinks - 1) {
		fill((i + 3) * 10)
	}
	for i := range uint64(sinks) {
		eventually(t, "all sources wait", func() bool { return waits((i + 2) * 10) })
	}
	if used := p.Counters().SendBuffer; used > buffer+sinks*(size+32) {
		t.Errorf("all slow sinks hold %d bytes, the limit is %d", used, buffer)
	}
	stop()
	wg.Wait()
	close(release)
	if failed, err := p.Flush(t.Context()); err != nil || failed != nil {
		t.Fatal(failed, err)
	}
	if used := p.Counters().SendBuffer; used != 0 {
		t.Errorf("%d bytes are still in use", used)
	}
}

// Handlers do not wait for the send buffer, but what they take of it beyond its limit counts
// against their backlog.
func TestHandlersStayWithinBothBounds(t *testing.T) {
	limits := testLimits()
	limits.SendBuffer, limits.HandlerBacklog = 128<<10, 64<<10
	const n = 12
	result := make(chan status.Counters, 1)
	started := make(chan struct{})
	release := make(chan struct{})
	var m *mesh
	m = newMesh(t, n, 4, limits, memory, func(node int) Deliver {
		if node != 0 {
			return held(release)(node)
		}
		return func(ctx context.Context, _ *Delivery) {
			<-started
			for range 60 {
				for sink := 2; sink <= n; sink++ {
					m.planes[0].Send(ctx, uint64(sink)*10, 0, make([]byte, 1000))
				}
			}
			result <- m.planes[0].Counters()
		}
	})
	close(started)
	if err := m.planes[1].Send(t.Context(), 10, 0, nil); err != nil {
		t.Fatal(err)
	}
	c := <-result
	close(release)
	if sum, limit := c.SendBuffer+c.HandlerBacklog, int64(limits.SendBuffer+limits.HandlerBacklog); sum > limit {
		t.Errorf("%d bytes in the send buffer and %d in the backlog, the limits add up to %d", c.SendBuffer, c.HandlerBacklog, limit)
	}
}

// In the end all gauges return to zero.
func TestGaugesReturnToZero(t *testing.T) {
	limits := testLimits()
	limits.SendBuffer, limits.ReceiveBuffer, limits.HandlerBacklog = 64<<10, 64<<10, 256<<10
	limits.LinkQueue, limits.LinkLow = 32<<10, 16<<10
	const n = 6
	var m *mesh
	ready := make(chan struct{})
	m = newMesh(t, n, 2, limits, memory, func(node int) Deliver {
		return func(ctx context.Context, d *Delivery) {
			<-ready
			if d.Port == 129 { // send an answer
				m.planes[node].Send(ctx, d.Source, 0, d.Body)
			}
		}
	})
	close(ready)
	var wg sync.WaitGroup
	for i, p := range m.planes {
		for g := range 3 {
			wg.Go(func() {
				for x := range 1000 {
					to := uint64((i+1+(x+g)%(n-1))%n+1) * 10
					if err := p.Send(t.Context(), to, uint8(x&1)*129, make([]byte, (x*37)%700)); err != nil {
						t.Error(err)
						return
					}
					if x%10 == 0 {
						p.Cast(t.Context(), to, 0, make([]byte, 100))
					}
				}
			})
		}
	}
	wg.Wait()
	for range 2 { // the second time for the answers
		for _, p := range m.planes {
			if failed, err := p.Flush(t.Context()); err != nil || len(failed) > 0 {
				t.Fatal(failed, err)
			}
		}
	}
	for _, p := range m.planes {
		eventually(t, "all gauges are zero", func() bool {
			c := p.Counters()
			return c.SendBuffer == 0 && c.ReceiveBuffer == 0 && c.HandlerBacklog == 0 && c.Queued == 0
		})
	}
}

// Waiting casts are bounded too, and are in the gauge.
func TestCastsCountAsReceived(t *testing.T) {
	limits := testLimits()
	limits.ReceiveBuffer = 64 << 10
	release := make(chan struct{})
	m := newMesh(t, 2, 1, limits, memory, held(release))
	for range 40 {
		if err := m.planes[0].Cast(t.Context(), 20, 0, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	sink := m.planes[1]
	eventually(t, "casts beyond the bound are dropped", func() bool { return sink.Counters().Dropped.InboxFull == 40-15 })
	if c := sink.Counters(); c.ReceiveBuffer != 15*1032 { // a quarter of the buffer
		t.Errorf("%d bytes held", c.ReceiveBuffer)
	}
	close(release)
	eventually(t, "all are handled", func() bool { return sink.Counters().ReceiveBuffer == 0 })
}

// Streams that never opened, and that no call waits for any more, are forgotten.
func TestEndedStreamsAreForgotten(t *testing.T) {
	m := newMesh(t, 3, 1, testLimits(), memory, nil)
	p := m.planes[0]
	for i := range uint64(100) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.Send(ctx, 100+i, 0, nil) // these IDs are not taken
	}
	eventually(t, "no streams to unknown nodes", func() bool {
		p.Sweep(true)
		out, _ := p.StreamCount()
		return out == 0
	})
	stuck, _ := memnet.Pipe()
	p.AddLink(40, 1, stuck) // a peer that never answers
	p.SetRoutes(table(p, 2, 40))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.Send(ctx, 40, 0, nil); err == nil {
		t.Fatal("accepted for an unknown node")
	}
	eventually(t, "the stream is given up", func() bool {
		p.Sweep(true)
		out, _ := p.StreamCount()
		return out == 0
	})
}

// A stream that ends while an answer to it is handled is reported once.
func TestUndeliveredIsCountedOnce(t *testing.T) {
	m := newMesh(t, 1, 0, testLimits(), memory, nil)
	p := m.planes[0]
	near, far := memnet.Pipe()
	go io.Copy(io.Discard, far)
	p.AddLink(20, 1, near)
	p.SetRoutes(table(p, 2, 20))
	p.SetMembers([]uint64{20}, nil, false)
	answer := func(typ wire.Type, seq uint64, body []byte) {
		p.findOutbound(20, 0).handleAnswer(wire.Append(nil, wire.Header{Type: typ, Dst: p.Self, Src: 20, Seq: seq}, body))
	}
	for i := range 5 {
		if err := p.Send(t.Context(), 20, 0, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			answer(wire.Opened, p.generation, wire.OpenedBody{SourceIncarnation: p.Incarnation, SinkIncarnation: 5, First: 100, Window: 1 << 16}.Append(nil))
		}
	}
	p.SetRoutes(table(p, 3)) // 20 is not in the table any more; an answer with a gap makes the sender ask
	answer(wire.Ack, 100, wire.AckBody{Received: 1, Window: 1 << 16}.Append(nil, []wire.Range{{From: 1, N: 1}}))
	failed, err := p.Flush(t.Context())
	if err != nil || len(failed) != 1 || failed[0].Messages != 5 {
		t.Errorf("5 messages of unknown outcome, told of %v %v", failed, err)
	}
}

// A link that the new table does not name writes what it holds and ends.
func TestUseRetiresLinks(t *testing.T) {
	m := newMesh(t, 1, 0, testLimits(), memory, nil)
	p := m.planes[0]
	near, far := memnet.Pipe()
	p.AddLink(20, 1, near)
	p.SetRoutes(table(p, 2, 20))
	if err := p.Cast(t.Context(), 20, 0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	p.SetRoutes(table(p, 3))
	far.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, 2*wire.HeaderSize+1)
	if _, err := io.ReadFull(far, b); err != nil || wire.Frame(b[wire.HeaderSize+1:]).Type() != wire.End {
		t.Errorf("%x, %v", b, err)
	}
	far.Close()
	if p.HasLink(20, 1) {
		t.Error("the link is still there")
	}
}

// Close does not wait for a retired link whose peer reads nothing.
func TestCloseWithARetiredStuckLink(t *testing.T) {
	m := newMesh(t, 1, 0, testLimits(), memory, nil)
	p := m.planes[0]
	near, far := net.Pipe() // unbuffered and never read
	defer far.Close()
	p.AddLink(20, 1, near)
	p.SetRoutes(table(p, 2, 20))
	p.Cast(t.Context(), 20, 0, []byte("x"))
	p.SetRoutes(table(p, 3))
	p.Close(net.ErrClosed) // if it hangs, the test times out
}

// slowClose is a connection whose Close takes a while, as that of TLS may.
type slowClose struct {
	net.Conn
	closing, let chan struct{}
}

func (c slowClose) Close() error {
	close(c.closing)
	<-c.let
	return c.Conn.Close()
}

func TestLocksAreNotHeldWhileConnectionsClose(t *testing.T) {
	m := newMesh(t, 1, 0, testLimits(), memory, nil)
	p := m.planes[0]
	near, far := memnet.Pipe()
	c := slowClose{near, make(chan struct{}), make(chan struct{})}
	p.AddLink(20, 1, c)
	go p.SetRoutes(table(p, 2))
	far.Close()
	<-c.closing
	p.StreamCount() // takes the lock
	close(c.let)
}

// A sink that has all the streams it may have refuses others. Messages that were accepted for it
// already arrive when one of its streams has ended.
func TestStreamsHaveABound(t *testing.T) {
	limits := testLimits()
	limits.Streams = 1
	got := make(chan uint64, 2)
	m := newMesh(t, 3, 2, limits, memory, func(int) Deliver {
		return func(_ context.Context, d *Delivery) { got <- d.Source }
	})
	first, second, sink := m.planes[0], m.planes[1], m.planes[2]
	if err := first.Send(t.Context(), sink.Self, 0, nil); err != nil {
		t.Fatal(err)
	}
	<-got
	if err := second.Send(t.Context(), sink.Self, 0, nil); !errors.Is(err, stream.ErrRefused) {
		t.Fatalf("a second stream: %v", err)
	}
	if n := sink.Counters().Dropped.Refused; n != 1 {
		t.Errorf("%d counted", n)
	}
	second.SetMembers([]uint64{sink.Self}, nil, false)
	if err := second.Send(t.Context(), sink.Self, 0, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first stream has ended", func() bool {
		first.Sweep(true)
		out, _ := first.StreamCount()
		return out == 0
	})
	if failed, err := second.Flush(t.Context()); err != nil || failed != nil {
		t.Fatal(failed, err)
	}
	if source := <-got; source != second.Self {
		t.Errorf("from %d", source)
	}
}
