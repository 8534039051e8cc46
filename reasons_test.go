package ringdht

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/wire"
)

// lines counts the lines of a log that contain all the words.
func (l *testLog) lines(words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			n++
		}
	}
	return n
}

func TestOutage(t *testing.T) {
	var o outage
	reset := func(port int) error {
		return &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: port}, Err: errors.New("reset")}
	}
	for i, c := range []struct {
		err   error
		fresh bool
	}{
		{reset(1), true}, {reset(2), false}, {ErrHandshake, true}, {reset(3), false}, {ErrHandshake, false},
	} {
		if got := o.failed(c.err); got != c.fresh || !errors.Is(o.why, c.err) {
			t.Errorf("%d: %v %v", i, got, o.why)
		}
	}
	long := fmt.Errorf("%w: %s", ErrHandshake, strings.Repeat("x", 1<<16))
	for i := range 100 {
		o.failed(fmt.Errorf("%d: %w", i, long))
	}
	if len(o.told) != maxReasons || len(o.why.Error()) > 600 || !errors.Is(o.why, ErrHandshake) {
		t.Errorf("%d reasons, the latest has %d bytes", len(o.told), len(o.why.Error()))
	}
}

// A registry that comes back with another codec, or as another ring's, refuses its nodes
// for good: they say so once, with what to do, and so do the errors of calls that wait.
func TestRefusedForGood(t *testing.T) {
	for says, opt := range map[string]RegistryOption{"WithCodec": WithCodec(JSON()), "WithRing": WithRing("another")} {
		synctest.Test(t, func(t *testing.T) {
			net := NewMemoryNetwork(1)
			tr := newTestRing(t, net, WithLease(lease))
			log := newTestLog()
			n := tr.join(nil, log.option())
			tr.registry.Close()
			time.Sleep(5 * time.Second)
			if got := log.lines("WARN", "cannot be reached", "refused"); got != 1 {
				t.Errorf("%d lines while nobody is there:\n%s", got, log.b.String())
			}
			r, err := NewRegistry(WithTransport(net.Host("registry")), opt)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Listen(t.Context(), tr.addr); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if got := log.lines("WARN", "refuses this node", says); got != 1 {
				t.Errorf("%d lines with the reason:\n%s", got, log.b.String())
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			for what, err := range map[string]error{"Found": n.WaitConnected(ctx), "Ready": n.Ready(ctx)} {
				if !errors.Is(err, ErrRegistryLost) || !errors.Is(err, ErrHandshake) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %v", what, err)
				}
			}
			cancel()
			r.Close()
			// The next outage tells its reasons anew.
			tr.restart()
			if err := n.WaitConnected(tr.ctx()); err != nil {
				t.Fatal(err)
			}
			if err := n.whyLost(); err != ErrRegistryLost {
				t.Errorf("a reason is left: %v", err)
			}
			tr.close()
		})
	}
}

// A health check, which connects and closes or is silent, is no warning; what is refused
// with a reason is one, and not as many as there are tries.
func TestHealthChecksAreNoWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemoryNetwork(1)
		log := &testLog{ch: make(chan struct{}, 1)}
		debug := WithLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		tr := newTestRing(t, mem, debug)
		n := tr.join(nil)
		for _, addr := range []string{tr.addr, n.Peer().Addr} {
			for i := range 30 {
				conn, err := mem.Host("check").Dial(t.Context(), addr)
				if err != nil {
					t.Fatal(err)
				}
				if i%10 == 0 {
					time.Sleep(time.Minute) // silent, until it is hung up on
				}
				conn.Close()
				synctest.Wait()
			}
		}
		if w, d := log.lines("WARN"), log.lines("DEBUG", "without a handshake"); w != 0 || d != 60 {
			t.Errorf("%d warnings, %d without a handshake", w, d)
		}
		c := newCommon()
		c.Transport, c.RingName = mem.Host("wrong"), "wrong"
		for range 30 {
			if _, _, err := c.Dial(t.Context(), tr.addr, wire.Hello{Role: wire.RoleMember}); !errors.Is(err, ErrHandshake) {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if w := log.lines("WARN", "connection refused", "wrong"); w != 1 {
			t.Errorf("%d warnings of one kind", w)
		}
		time.Sleep(handshake.RepeatEvery)
		c.Dial(t.Context(), tr.addr, wire.Hello{Role: wire.RoleMember})
		synctest.Wait()
		if w := log.lines("WARN", "connection refused", "wrong", "29"); w != 1 {
			t.Errorf("the others are not counted:\n%s", log.b.String())
		}
		tr.close()
	})
}

// A node that advertises a loopback address in a ring with other machines is warned of, at
// the registry and by itself, once.
func TestLoopbackAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newTestLog()
		mem := NewMemoryNetwork(1)
		reg := newTestLog()
		tr := newTestRing(t, mem, WithLease(lease), registryOption(func(c *registryConfig) { c.Log = slog.New(slog.NewTextHandler(reg, nil)) }))
		local := tr.join(nil, log.option(), WithTransport(mem.Host("localhost")))
		if reg.lines("loopback") != 0 {
			t.Error("warned of a ring of one machine")
		}
		tr.join(nil)
		tr.join(nil)
		tr.setup(0)
		local.hangUp()
		synctest.Wait()
		time.Sleep(lease)
		tr.settled()
		if a, b := reg.lines("WARN", "loopback", "WithAdvertise", local.Peer().Addr), log.lines("WARN", "loopback", "WithAdvertise"); a != 1 || b != 1 {
			t.Errorf("%d warnings of the registry, %d of the node", a, b)
		}
		tr.close()
	})
}
