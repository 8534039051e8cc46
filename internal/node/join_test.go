package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// joining is a Join under way.
type joining struct {
	node *ringtest.Node
	err  error
	done chan struct{}
}

// joinLater begins to join, and tries again until ctx ends.
func joinLater(ctx context.Context, tr *ringtest.Ring, opts ...ringdht.NodeOption) *joining {
	j := &joining{done: make(chan struct{})}
	opts = tr.Options(append(opts, ringdht.WithRetry()))
	go func() {
		defer close(j.done)
		j.node, j.err = ringtest.Join(ctx, tr.Line(), nil, opts...)
	}()
	return j
}

// member waits for the node.
func (j *joining) member(tr *ringtest.Ring) *ringtest.Node {
	tr.T.Helper()
	<-j.done
	if j.err != nil {
		tr.T.Fatal(j.err)
	}
	tr.Nodes = append(tr.Nodes, j.node)
	return j.node
}

// waits fails the test if Join returns before d has passed.
func (j *joining) waits(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-j.done:
		t.Fatalf("Join has returned: %v", j.err)
	case <-time.After(d):
	}
}

// A node may start long before its registry. It joins within the longest delay, with one listener
// for all attempts, and logs one reason once.
func TestJoinBeforeTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(1)
		tr := ringtest.New(t, network, ringdht.WithLease(ringtest.Lease))
		tr.Registry.Close()
		log := ringtest.NewLog()
		host := &countingHost{Host: network.Host("n0")}
		j := joinLater(tr.Ctx(), tr, log.Option(), ringdht.WithTransport(host))
		j.waits(t, time.Minute)
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease))
		start := time.Now()
		j.member(tr)
		ringtest.CheckElapsed(t, "joining", start, 2100*time.Millisecond)
		if tries := host.dials.Load(); host.listens.Load() != 1 || tries < 25 || tries > 100 {
			t.Errorf("%d listeners and %d attempts in a minute", host.listens.Load(), tries)
		}
		log.WaitFor(t, "joined")
		if text := log.Text(); strings.Count(text, "cannot join yet") != 1 || !strings.Contains(text, "is the registry running there?") {
			t.Error(text)
		}
		tr.Close()
	})
}

// countingHost counts what a node opens. Its dials fail for an error while that is set.
type countingHost struct {
	*memnet.Host
	listens, dials, open atomic.Int32
	port                 atomic.Int32
	to                   atomic.Pointer[string]
	fail                 func(attempt int32) error
	lossy                bool // the first connection breaks at the answer to Register
}

func (h *countingHost) Listen(ctx context.Context, addr string) (net.Listener, error) {
	h.listens.Add(1)
	l, err := h.Host.Listen(ctx, addr)
	if err == nil {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		number, _ := strconv.Atoi(port)
		h.port.Store(int32(number))
	}
	return l, err
}

func (h *countingHost) Dial(ctx context.Context, addr string) (net.Conn, error) {
	h.to.Store(&addr)
	if n := h.dials.Add(1); h.fail != nil {
		if err := h.fail(n); err != nil {
			return nil, err
		}
	}
	c, err := h.Host.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	h.open.Add(1)
	return &countedConn{Conn: c, open: &h.open, lossy: h.lossy && h.dials.Load() == 1}, nil
}

type countedConn struct {
	net.Conn
	open   *atomic.Int32
	closed atomic.Bool
	lossy  bool
	writes atomic.Int32
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.lossy && c.writes.Load() > 1 { // the first write is the hello
		return 0, syscall.ECONNRESET
	}
	return n, err
}

func (c *countedConn) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// Each attempt dials the registry by its name, which may resolve anew. Each new reason is logged
// once: an unknown name, a silent registry, a lack of something.
func TestJoinTriesTheNameAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(1)
		tr := ringtest.New(t, network, ringdht.WithLease(ringtest.Lease))
		log := ringtest.NewLog()
		host := &countingHost{Host: network.Host("n0")}
		unknown := &net.DNSError{Err: "no such host", Name: "registry", IsNotFound: true}
		host.fail = func(attempt int32) error {
			if *host.to.Load() != tr.Addr {
				t.Errorf("dials %s, not %s", *host.to.Load(), tr.Addr)
			}
			switch attempt {
			case 1, 2, 4:
				return &net.OpError{Op: "dial", Net: "tcp", Err: unknown}
			case 3:
				return errors.New("network is unreachable")
			case 5:
				network.Hold("n0", "registry")
			case 6:
				network.Heal()
			}
			return nil
		}
		joinLater(tr.Ctx(), tr, log.Option(), ringdht.WithTransport(host)).member(tr)
		log.WaitFor(t, "joined")
		for words, times := range map[string]int{"no such host": 1, "network is unreachable": 1, "deadline exceeded": 1} {
			if got := strings.Count(log.Text(), words); got != times {
				t.Errorf("%q is logged %d times:\n%s", words, got, log.Text())
			}
		}
		if host.dials.Load() != 6 {
			t.Errorf("%d attempts", host.dials.Load())
		}
		tr.Close()
	})
}

// A full ring, and an ID that is taken: the node joins when the other has gone.
func TestJoinWhenThereIsRoom(t *testing.T) {
	for name, c := range map[string]struct {
		opts []ringdht.NodeOption
		says string
	}{
		"full":     {nil, "the ring is full"},
		"ID taken": {[]ringdht.NodeOption{ringdht.WithID(1)}, "ID already taken"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease), ringdht.WithBits(1))
				tr.Join(nil, ringdht.WithID(0))
				second := tr.Join(nil, ringdht.WithID(1))
				tr.Setup(0)
				log := ringtest.NewLog()
				j := joinLater(tr.Ctx(), tr, append(c.opts, log.Option())...)
				j.waits(t, time.Minute)
				if err := second.Leave(tr.Ctx()); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if n := j.member(tr); n.ID() != 1 {
					t.Errorf("it is node %d", n.ID())
				}
				ringtest.CheckElapsed(t, "joining", start, 2100*time.Millisecond)
				if strings.Count(log.Text(), c.says) != 1 {
					t.Error(log.Text())
				}
				tr.Close()
			})
		})
	}
}

// A registry that takes another's place admits no newcomers at first. Join waits for it beyond the
// time for which one attempt waits.
func TestJoinWhileTheRegistryRebuilds(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, _ *memnet.Network) {
		tr.Registry.Close()
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), ringdht.WithGrace(time.Minute))
		log := ringtest.NewLog()
		j := joinLater(tr.Ctx(), tr, log.Option())
		j.waits(t, 55*time.Second)
		j.member(tr)
		if strings.Count(log.Text(), "admits no new node yet") != 1 {
			t.Error(log.Text())
		}
	})
}

// When the context ends the error has its cause and the reason of the latest complete attempt.
// Failed attempts leave neither connections nor goroutines behind.
func TestJoinGivesUp(t *testing.T) {
	cause := errors.New("the program ends")
	for name, c := range map[string]struct {
		begin func(tr *ringtest.Ring)
		opts  []ringdht.NodeOption
		want  error
		says  string
	}{
		"no registry": {func(tr *ringtest.Ring) { tr.Registry.Close() }, nil, ringdht.ErrRegistryLost, "is the registry running there?"},
		"silent":      {func(tr *ringtest.Ring) { tr.Net.Hold("n1", "registry") }, nil, ringdht.ErrRegistryLost, "deadline exceeded"},
		"taken":       {func(*ringtest.Ring) {}, []ringdht.NodeOption{ringdht.WithAdvertise("n0:7")}, ringdht.ErrTaken, "address already registered"},
		"unreachable": {func(*ringtest.Ring) {}, []ringdht.NodeOption{ringdht.WithAdvertise("later:7")}, ringdht.ErrUnreachable, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
				tr.Join(nil, ringdht.WithListen(":7"))
				host := &countingHost{Host: tr.Net.Host("n1")}
				c.begin(tr)
				ctx, cancel := context.WithCancelCause(t.Context())
				j := joinLater(ctx, tr, append(c.opts, ringdht.WithTransport(host))...)
				j.waits(t, 61*time.Second)
				if open := host.open.Load(); open > 1 {
					t.Errorf("%d connections are open", open)
				}
				cancel(cause)
				<-j.done
				text := fmt.Sprint(j.err)
				if !errors.Is(j.err, cause) || !errors.Is(j.err, c.want) || !strings.Contains(text, c.says) || !ringdht.Retryable(j.err) {
					t.Error(j.err)
				}
				if times := fmt.Sprintf("tried %d times in 1m1s, at last: ", host.dials.Load()); !strings.Contains(text, times) {
					t.Errorf("%v, want %q", text, times)
				}
				if host.open.Load() != 0 || host.listens.Load() != 1 {
					t.Errorf("%d connections are open, %d listeners were opened", host.open.Load(), host.listens.Load())
				}
				if l, err := tr.Net.Host("n1").Listen(t.Context(), fmt.Sprintf(":%d", host.port.Load())); err != nil {
					t.Errorf("the listener is open: %v", err)
				} else {
					l.Close()
				}
				tr.Net.Heal()
				tr.Close()
			})
		})
	}
}

// What does not pass ends Join at once.
func TestJoinIsHopeless(t *testing.T) {
	for name, c := range map[string]struct {
		addr string
		opts []ringdht.NodeOption
		want error
		says string
	}{
		"another ring":    {"", []ringdht.NodeOption{ringdht.WithRing("other")}, ringdht.ErrHandshake, "WithRing"},
		"another codec":   {"", []ringdht.NodeOption{ringdht.WithCodec(ringdht.JSON())}, ringdht.ErrHandshake, "WithCodec"},
		"no such ID":      {"", []ringdht.NodeOption{ringdht.WithID(1 << 20)}, ringdht.ErrHandshake, "16-bit"},
		"another host":    {"", []ringdht.NodeOption{ringdht.WithListen("n0:9"), ringdht.WithTransport(nil)}, ringdht.ErrUnreachable, "WithAdvertise"},
		"a node":          {"n0:7", nil, ringdht.ErrHandshake, "not a registry"},
		"an option":       {"", []ringdht.NodeOption{ringdht.WithLimits(status.Limits{SendBuffer: 5000})}, nil, "SendBuffer"},
		"no address":      {"registry", nil, nil, "registry"},
		"a port in use":   {"", []ringdht.NodeOption{ringdht.WithListen(":3")}, syscall.EADDRINUSE, "listening"},
		"a wrong address": {"", []ringdht.NodeOption{ringdht.WithAdvertise("0.0.0.0:7")}, nil, "WithAdvertise"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
				tr.Join(nil, ringdht.WithListen(":7"))
				l, err := tr.Net.Host("n1").Listen(t.Context(), ":3")
				if err != nil {
					t.Fatal(err)
				}
				if name == "another host" { // it listens as n0, and dials as n1
					c.opts[1] = ringdht.WithTransport(twoHosts{tr.Net.Host("n0"), tr.Net.Host("n1")})
				}
				if c.addr != "" {
					tr.Addr = c.addr
				}
				start := time.Now()
				j := joinLater(tr.Ctx(), tr, c.opts...)
				<-j.done
				if j.err == nil || c.want != nil && !errors.Is(j.err, c.want) || !strings.Contains(fmt.Sprint(j.err), c.says) || ringdht.Retryable(j.err) {
					t.Errorf("%v, retryable %v", j.err, ringdht.Retryable(j.err))
				}
				ringtest.CheckElapsed(t, "failing", start, 0)
				l.Close()
				tr.Close()
			})
		})
	}
}

// twoHosts listens on one host, and dials from another.
type twoHosts struct{ listens, dials *memnet.Host }

func (h twoHosts) Listen(ctx context.Context, addr string) (net.Listener, error) {
	return h.listens.Listen(ctx, addr)
}

func (h twoHosts) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return h.dials.Dial(ctx, addr)
}

// The registry may have admitted the node though its answer was lost. The next attempt replaces
// that member, also if it asks for an ID.
func TestJoinAfterALostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
		host := &countingHost{Host: tr.Net.Host("n0"), lossy: true}
		n := joinLater(tr.Ctx(), tr, ringdht.WithTransport(host), ringdht.WithID(5)).member(tr)
		if members := tr.Registry.Members(); n.ID() != 5 || len(members) != 1 || members[0] != n.Peer() || host.dials.Load() < 2 {
			t.Errorf("joined as %v at attempt %d, the members are %v", n.Peer(), host.dials.Load(), members)
		}
		tr.Close()
	})
}
