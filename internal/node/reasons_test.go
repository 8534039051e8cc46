package node_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// lines counts the lines of a log that contain all the words.
func lines(l *ringtest.Log, words ...string) (n int) {
	for line := range strings.Lines(l.Text()) {
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

// A registry that comes back with another codec, or as another ring's, refuses its nodes
// for good: they say so once, with what to do, and so do the errors of calls that wait.
func TestRefusedForGood(t *testing.T) {
	for says, opt := range map[string]ringdht.RegistryOption{"WithCodec": ringdht.WithCodec(ringdht.JSON()), "WithRing": ringdht.WithRing("another")} {
		synctest.Test(t, func(t *testing.T) {
			net := memnet.New(1)
			tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
			log := ringtest.NewLog()
			n := tr.Join(nil, log.Option())
			tr.Registry.Close()
			time.Sleep(5 * time.Second)
			if got := lines(log, "WARN", "cannot be reached", "refused"); got != 1 {
				t.Errorf("%d lines while nobody is there:\n%s", got, log.Text())
			}
			r, err := ringdht.NewRegistry(tr.Heir([]ringdht.RegistryOption{ringdht.WithTransport(net.Host("registry")), opt})...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Listen(t.Context(), tr.Addr); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if got := lines(log, "WARN", "refuses this node", says); got != 1 {
				t.Errorf("%d lines with the reason:\n%s", got, log.Text())
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			for what, err := range map[string]error{"Found": n.WaitConnected(ctx), "Ready": n.Ready(ctx)} {
				if !errors.Is(err, ringdht.ErrRegistryLost) || !errors.Is(err, ringdht.ErrHandshake) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %v", what, err)
				}
			}
			cancel()
			r.Close()
			// The next outage tells its reasons anew.
			tr.RestartRegistry()
			if err := n.WaitConnected(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
			if err := ringtest.NodeOf(n).OutageError(); err != ringdht.ErrRegistryLost {
				t.Errorf("a reason is left: %v", err)
			}
			tr.Close()
		})
	}
}

// A health check, which connects and closes or is silent, is no warning; what is refused
// with a reason is one, and not as many as there are tries.
func TestHealthChecksAreNoWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memnet.New(1)
		log := ringtest.NewLog()
		debug := ringdht.WithLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		tr := ringtest.New(t, mem, debug)
		n := tr.Join(nil)
		for _, addr := range []string{tr.Addr, n.Peer().Addr} {
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
		if w, d := lines(log, "WARN")-lines(log, "WARN", "kept in memory only"), lines(log, "DEBUG", "without a handshake"); w != 0 || d != 60 {
			t.Errorf("%d warnings, %d without a handshake:\n%s", w, d, log.Text())
		}
		c := *ringtest.DialConfig()
		c.Transport, c.RingName = mem.Host("wrong"), "wrong"
		if tr.Secure {
			c.Security = tr.Insider("insider").Config.Security
		}
		for range 30 {
			if _, _, _, err := c.Dial(t.Context(), tr.Addr, wire.Hello{Role: wire.RoleMember}); !errors.Is(err, ringdht.ErrHandshake) {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if w := lines(log, "WARN", "connection refused", "wrong"); w != 1 {
			t.Errorf("%d warnings of one kind", w)
		}
		time.Sleep(handshake.RepeatEvery)
		c.Dial(t.Context(), tr.Addr, wire.Hello{Role: wire.RoleMember})
		synctest.Wait()
		if w := lines(log, "WARN", "connection refused", "wrong", "29"); w != 1 {
			t.Errorf("the others are not counted:\n%s", log.Text())
		}
		tr.Close()
	})
}

// A node that advertises a loopback address in a ring with other machines is warned of, at
// the registry and by itself, once.
func TestLoopbackAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := ringtest.NewLog()
		mem := memnet.New(1)
		reg := ringtest.NewLog()
		tr := ringtest.New(t, mem, ringdht.WithLease(ringtest.Lease), ringtest.WithRegistryConfig(func(c *registry.Config) { c.Log = slog.New(slog.NewTextHandler(reg, nil)) }))
		local := tr.Join(nil, log.Option(), ringdht.WithTransport(mem.Host("localhost")))
		if lines(reg, "loopback") != 0 {
			t.Error("warned of a ring of one machine")
		}
		tr.Join(nil)
		tr.Join(nil)
		tr.Setup(0)
		ringtest.NodeOf(local).HangUp()
		synctest.Wait()
		time.Sleep(ringtest.Lease)
		tr.WaitSettled()
		synctest.Wait() // the loggers have the lines
		if a, b := lines(reg, "WARN", "loopback", "WithAdvertise", local.Peer().Addr), lines(log, "WARN", "loopback", "WithAdvertise"); a != 1 || b != 1 {
			t.Errorf("%d warnings of the registry, %d of the node", a, b)
		}
		tr.Close()
	})
}

// A peer that dials an incarnation which is over is no warning: an instance that restarts at its
// address while the registry is away hears from all peers that have not been told.
func TestOutdatedPeersAreNoWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memnet.New(1)
		log := ringtest.NewLog()
		tr := ringtest.New(t, mem)
		n, peer := tr.Join(nil, log.Option()), tr.Join(nil)
		c := *ringtest.DialConfig()
		c.Transport = mem.Host("peer")
		if tr.Secure {
			c.Security = ringtest.NodeOf(peer).Config().Security
		}
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				_, _, _, err := c.Dial(t.Context(), n.Peer().Addr, wire.Hello{Role: wire.RoleLink, From: uint64(peer.ID()), FromIncarnation: peer.Incarnation(), To: uint64(n.ID()), ToIncarnation: n.Incarnation() - 1})
				if !errors.Is(err, ringdht.ErrHandshake) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait() // the logger has the lines
		want := 1
		if tr.Secure {
			want = 0 // the dialling side finds out, by the certificate
		}
		if w, i := lines(log, "WARN"), lines(log, "INFO", "connection refused", "another incarnation"); w != 0 || i != want {
			t.Errorf("%d warnings, %d lines:\n%s", w, i, log.Text())
		}
		tr.Close()
	})
}
