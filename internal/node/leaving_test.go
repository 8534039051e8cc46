package node_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// A node that waits for its last deliveries is still a member: when its connection to the
// registry breaks it comes back, and leaves in good order.
func TestLeaveOutlivesABrokenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
		release := make(chan struct{})
		sink := tr.Join(func(ctx context.Context, m ringdht.Message) { ringtest.Block(ctx, release) })
		from := tr.Join(nil)
		tr.Join(nil)
		tr.Setup(0)
		if err := from.Send(tr.Ctx(), sink.ID(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		left := make(chan error, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		go func() { left <- from.Leave(ctx) }()
		synctest.Wait()
		ringtest.NodeOf(from).HangUp()
		time.Sleep(4 * ringtest.Lease)
		close(release)
		err := <-left
		if err != nil || time.Since(start) > time.Minute {
			t.Errorf("leave after %v: %v", time.Since(start), err)
		}
		tr.Close()
	})
}

// One that is declared dead while it waits does not wait for what cannot come.
func TestEvictedWhileLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
		release := make(chan struct{})
		sink := tr.Join(func(ctx context.Context, m ringdht.Message) { ringtest.Block(ctx, release) })
		from := tr.Join(nil)
		tr.Join(nil)
		tr.Setup(0)
		if err := from.Send(tr.Ctx(), sink.ID(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		left := make(chan error, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		go func() { left <- from.Leave(ctx) }()
		synctest.Wait()
		net.Hold("n1", "")
		tr.WaitGone(from.ID())
		net.Heal()
		time.Sleep(ringtest.Lease)
		close(release)
		err := <-left
		var lost *status.UndeliveredError
		if !errors.As(err, &lost) || !errors.Is(err, ringdht.ErrEvicted) || time.Since(start) > time.Minute {
			t.Errorf("leave after %v: %v", time.Since(start), err)
		}
		tr.Close()
	})
}

// A node can leave although a peer is stopped.
func TestLeaveWithAFrozenPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
		for range 4 {
			tr.Join(nil)
		}
		tr.Setup(0)
		tr.Exchange(tr.Nodes...)
		net.Hold("n1", "")
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		err := tr.Nodes[0].Leave(ctx)
		t.Logf("leave after %v: %v", time.Since(start), err)
		if time.Since(start) > time.Minute {
			t.Errorf("leave after %v: %v", time.Since(start), err)
		}
		tr.Close()
	})
}

// A node that waits for its last deliveries still says who does not exist: it is asked by
// its own streams, and may be the only one to know.
func TestLeaveWithAStreamToTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
		from, sink := tr.Join(nil), tr.Join(nil)
		tr.Setup(0)
		net.Hold("n1", "n0")                                                // it does not answer
		if err := from.Send(tr.Ctx(), sink.ID(), []byte("x")); err != nil { // before the stream is open
			t.Fatal(err)
		}
		sink.Close()
		tr.WaitGone(sink.ID())
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		err := from.Leave(ctx)
		var lost *status.UndeliveredError
		if !errors.As(err, &lost) || lost.Streams[0].NotHandled != 1 || !errors.Is(err, ringdht.ErrNoSuchNode) || time.Since(start) > time.Minute {
			t.Errorf("leave after %v: %v", time.Since(start), err)
		}
		tr.Close()
	})
}

// Flush in the moment in which an incarnation has ended and what it left is being gathered.
func TestFlushWhileAnIncarnationEnds(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	sink := tr.Join(func(ctx context.Context, m ringdht.Message) { ringtest.Block(ctx, release) })
	from := tr.Join(nil)
	tr.Setup(0)
	if err := from.Send(tr.Ctx(), sink.ID(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	inc := ringtest.NodeOf(from).Present()
	proceed := inc.DelayEnd() // a dial that takes its time to be broken off
	ended := make(chan struct{})
	go func() { inc.Evict(); close(ended) }()
	<-inc.Plane().Context().Done()
	time.Sleep(100 * time.Millisecond)
	err := from.Flush(tr.Ctx())
	if err == nil {
		t.Error("Flush says that everything was delivered")
	}
	proceed()
	<-ended
	var lost *status.UndeliveredError
	if err := from.Flush(tr.Ctx()); !errors.As(err, &lost) {
		t.Error(err)
	}
	close(release)
}

// stall is a transport whose accepted connections write when they are let.
type stall struct {
	ringdht.Transport
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

// A link of an incarnation that is declared dead while its handshake is answered.
func TestLinkOfTheDead(t *testing.T) {
	mem := memnet.New(1)
	tr := ringtest.New(t, mem)
	st := &stall{Transport: mem.Host("n0"), stalled: make(chan struct{}), let: make(chan struct{})}
	n := tr.Join(nil, ringdht.WithTransport(st))
	tr.Join(nil)
	tr.Setup(0)
	st.armed.Store(true)
	c := *ringtest.DialConfig()
	c.Transport = mem.Host("dead")
	got := make(chan net.Conn, 1)
	go func() {
		conn, _, _, err := c.Dial(tr.Ctx(), n.Peer().Addr, wire.Hello{Role: wire.RoleLink, From: 4242, FromIncarnation: 99, To: uint64(n.ID()), ToIncarnation: n.Incarnation()})
		t.Log(err)
		got <- conn
	}()
	<-st.stalled
	ringtest.NodeOf(n).Present().DeclareDead(4242, 99)
	close(st.let)
	conn := <-got
	if conn == nil {
		return
	}
	conn.SetReadDeadline(time.Now().Add(10 * time.Second)) // less than a lease
	var b [1]byte
	_, err := conn.Read(b[:])
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Error("the link of a dead incarnation stands")
	}
}

// A registry that hangs up on the question each time does not keep a node from leaving.
func TestLeavingARegistryThatHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &ringtest.FailingCodec{Fails: func(v any) bool { _, leaves := v.(*control.Deregister); return leaves }}
		tr := ringtest.New(t, memnet.New(1), ringdht.WithCodec(c), ringdht.WithLease(ringtest.Lease))
		tr.Shared = nil
		n := tr.Join(nil)
		start := time.Now()
		if err := n.Leave(tr.Ctx()); !errors.Is(err, ringdht.ErrRegistryLost) || !strings.Contains(err.Error(), "hung up 5 times") {
			t.Error(err)
		}
		ringtest.CheckElapsed(t, "leaving", start, ringtest.Lease)
		if c.Failed.Load() != handshake.MaxReminders+1 {
			t.Errorf("it was asked %d times", c.Failed.Load())
		}
		tr.Close()
	})
}
