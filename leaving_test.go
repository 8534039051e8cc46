package ringdht

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// A node that waits for its last deliveries is still a member: when its connection to the
// registry breaks it comes back, and leaves in good order.
func TestLeaveOutlivesABrokenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		release := make(chan struct{})
		sink := tr.join(func(ctx context.Context, m Message) { hold(ctx, release) })
		from := tr.join(nil)
		tr.join(nil)
		tr.setup(0)
		if err := from.Send(tr.ctx(), sink.ID(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		left := make(chan error, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		go func() { left <- from.Leave(ctx) }()
		synctest.Wait()
		from.ctl.Load().Close()
		time.Sleep(4 * lease)
		close(release)
		err := <-left
		if err != nil || time.Since(start) > time.Minute {
			t.Errorf("leave after %v: %v", time.Since(start), err)
		}
		tr.close()
	})
}

// One that is declared dead while it waits does not wait for what cannot come.
func TestEvictedWhileLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		release := make(chan struct{})
		sink := tr.join(func(ctx context.Context, m Message) { hold(ctx, release) })
		from := tr.join(nil)
		tr.join(nil)
		tr.setup(0)
		if err := from.Send(tr.ctx(), sink.ID(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		left := make(chan error, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		go func() { left <- from.Leave(ctx) }()
		synctest.Wait()
		net.Hold("n1", "")
		tr.gone(from.ID())
		net.Heal()
		time.Sleep(lease)
		close(release)
		err := <-left
		var lost *UndeliveredError
		if !errors.As(err, &lost) || !errors.Is(err, ErrEvicted) || time.Since(start) > time.Minute {
			t.Errorf("leave after %v: %v", time.Since(start), err)
		}
		tr.close()
	})
}

// A peer that stands still does not keep anybody from leaving.
func TestLeaveWithAFrozenPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		for range 4 {
			tr.join(nil)
		}
		tr.setup(0)
		tr.exchange(tr.nodes...)
		net.Hold("n1", "")
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		err := tr.nodes[0].Leave(ctx)
		t.Logf("leave after %v: %v", time.Since(start), err)
		if time.Since(start) > time.Minute {
			t.Errorf("leave after %v: %v", time.Since(start), err)
		}
		tr.close()
	})
}

// A node that waits for its last deliveries still says who does not exist: it is asked by
// its own streams, and may be the only one to know.
func TestLeaveWithAStreamToTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		from, sink := tr.join(nil), tr.join(nil)
		tr.setup(0)
		net.Hold("n1", "n0")                                                // it does not answer
		if err := from.Send(tr.ctx(), sink.ID(), []byte("x")); err != nil { // before the stream is open
			t.Fatal(err)
		}
		sink.Close()
		tr.gone(sink.ID())
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		err := from.Leave(ctx)
		var lost *UndeliveredError
		if !errors.As(err, &lost) || lost.Streams[0].NotHandled != 1 || !errors.Is(err, ErrNoSuchNode) || time.Since(start) > time.Minute {
			t.Errorf("leave after %v: %v", time.Since(start), err)
		}
		tr.close()
	})
}

// A life that was buried a moment ago cannot deregister the one that has its ID now.
func TestDeregisterOfTheDead(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	for range 3 {
		tr.join(nil)
	}
	tr.setup(0)
	n := tr.nodes[0]
	r := tr.registry
	r.mu.Lock()
	old := n.inc.Load().self
	m, err := r.members.Admit(r.now(), uint64(time.Now().UnixNano()), memReq(n.addr, old.ID))
	if err != nil {
		t.Fatal(err)
	}
	s := r.sessions[ring.Ref{ID: old.ID, Life: old.Life}]
	r.mu.Unlock()
	b, _ := n.cfg.Codec.Append(nil, control.Deregister{ID: old.ID, Addr: n.addr})
	s.deregister(b)
	r.mu.Lock()
	h, ok := r.members.Holder(old.ID)
	for _, e := range r.members.Take() {
		r.mu.Unlock()
		r.perform(e)
		r.mu.Lock()
	}
	r.mu.Unlock()
	if !ok || h.Life != m.Life {
		t.Errorf("the new life %d was deregistered by the old one", m.Life)
	}
}

func memReq(addr string, id uint64) membership.Request {
	return membership.Request{Addr: addr, Want: true, ID: id}
}

// Flush in the moment in which a life has ended and what it left is being gathered.
func TestFlushWhileALifeEnds(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	release := make(chan struct{})
	sink := tr.join(func(ctx context.Context, m Message) { hold(ctx, release) })
	from := tr.join(nil)
	tr.setup(0)
	if err := from.Send(tr.ctx(), sink.ID(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	inc := from.inc.Load()
	inc.wg.Add(1) // a dial that takes its time to be broken off
	ended := make(chan struct{})
	go func() { from.end(inc, ErrEvicted); close(ended) }()
	<-inc.plane.Context().Done()
	time.Sleep(100 * time.Millisecond)
	err := from.Flush(tr.ctx())
	if err == nil {
		t.Error("Flush says that everything was delivered")
	}
	inc.wg.Done()
	<-ended
	var lost *UndeliveredError
	if err := from.Flush(tr.ctx()); !errors.As(err, &lost) {
		t.Error(err)
	}
	close(release)
}

// stall is a transport whose accepted connections write when they are let.
type stall struct {
	Transport
	armed   atomic.Bool
	stalled chan struct{}
	let     chan struct{}
}

func (s *stall) Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := s.Transport.Listen(ctx, addr)
	return &stallListener{l, s}, err
}

type stallListener struct {
	net.Listener
	s *stall
}

func (l *stallListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &stallConn{c, l.s}, err
}

type stallConn struct {
	net.Conn
	s *stall
}

func (c *stallConn) Write(b []byte) (int, error) {
	if c.s.armed.Swap(false) {
		close(c.s.stalled)
		<-c.s.let
	}
	return c.Conn.Write(b)
}

// A link of a life that is declared dead while its handshake is answered.
func TestLinkOfTheDead(t *testing.T) {
	mem := NewMemoryNetwork(1)
	tr := newTestRing(t, mem)
	st := &stall{Transport: mem.Host("n0"), stalled: make(chan struct{}), let: make(chan struct{})}
	n := tr.join(nil, WithTransport(st))
	tr.join(nil)
	tr.setup(0)
	st.armed.Store(true)
	c := newCommon()
	c.Transport = mem.Host("dead")
	got := make(chan net.Conn, 1)
	go func() {
		conn, _, err := c.Dial(tr.ctx(), n.addr, wire.Hello{Role: wire.RoleLink, From: 4242, FromLife: 99, To: uint64(n.ID()), ToLife: n.Incarnation()})
		t.Log(err)
		got <- conn
	}()
	<-st.stalled
	n.inc.Load().gone([]control.Ref{{ID: 4242, Life: 99}})
	close(st.let)
	conn := <-got
	if conn == nil {
		return
	}
	conn.SetReadDeadline(time.Now().Add(time.Second))
	var b [1]byte
	_, err := conn.Read(b[:])
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Error("the link of a dead life stands")
	}
}

// A registry that hangs up on the question each time does not keep a node from leaving.
func TestLeavingARegistryThatHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &illiterate{cannot: func(v any) bool { _, leaves := v.(*control.Deregister); return leaves }}
		tr := newTestRing(t, NewMemoryNetwork(1), WithCodec(c), WithLease(lease))
		tr.shared = nil
		n := tr.join(nil)
		start := time.Now()
		if err := n.Leave(tr.ctx()); !errors.Is(err, ErrRegistryLost) || !strings.Contains(err.Error(), "hung up 5 times") {
			t.Error(err)
		}
		took(t, "leaving", start, lease)
		if c.tried.Load() != handshake.MaxReminders+1 {
			t.Errorf("it was asked %d times", c.tried.Load())
		}
		tr.close()
	})
}
