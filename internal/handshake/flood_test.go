package handshake_test

import (
	"context"
	"flag"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

var (
	silent = flag.Int("silent", 1200, "how many silent connections TestFloods makes")
	slow   = flag.Int("slow", 200, "how many of them send a byte a second")
	again  = flag.Duration("again", 0, "how long after its end each of them dials again")
)

// host is a side that accepts, over TCP.
type host struct {
	addr string
	wg   sync.WaitGroup
	busy atomic.Int64 // connections that are served
}

// newHost starts a side. It holds each connection until the other side closes it.
func newHost(t *testing.T, security handshake.Security) *host {
	t.Helper()
	c := ringtest.DialConfig()
	if err := c.Prepare(1 << 10); err != nil {
		t.Fatal(err)
	}
	c.Security = security
	l, err := c.Transport.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{addr: l.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	h.wg.Go(func() {
		c.Accept(ctx, l, h.wg.Go, func(conn net.Conn, introduced func()) {
			h.busy.Add(1)
			defer h.busy.Add(-1)
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			over, _, _, err := c.Welcome(conn, func(wire.Hello, secure.Proof) wire.Answer { return wire.Answer{} })
			introduced()
			if err == nil {
				over.Read(make([]byte, 1))
			}
		})
	})
	t.Cleanup(func() {
		cancel()
		l.Close()
		h.wg.Wait()
		c.Records.Close()
	})
	return h
}

// flood keeps n connections to addr up, which send nothing, or a byte of these a second. One that
// is closed comes again.
func flood(ctx context.Context, wg *sync.WaitGroup, addr string, n int, bytes []byte) {
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
				if err != nil {
					handshake.Sleep(ctx, 10*time.Millisecond)
					continue
				}
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				wg.Go(func() {
					for _, b := range bytes {
						if _, err := conn.Write([]byte{b}); err != nil || handshake.Sleep(ctx, time.Second) != nil {
							return
						}
					}
				})
				conn.Read(make([]byte, 1))
				stop()
				conn.Close()
				handshake.Sleep(ctx, *again)
			}
		})
	}
}

// Connections that prove nothing, and come again and again, do not keep others
// out, also from the same address.
func TestFloods(t *testing.T) {
	key := ringtest.NewRingKey()
	hello := []byte("RDHT\x01\x01\x00\x40")
	clientHello := []byte("\x16\x03\x01\x05\x00\x01\x00\x04")
	for name, c := range map[string]struct {
		accepts, dials *ringtest.Credentials
		bytes          []byte
	}{
		"open":   {nil, nil, hello},
		"secure": {key.Registry(), key.Newcomer(), clientHello},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, security(c.accepts))
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			flood(ctx, &wg, h.addr, *silent-*slow, nil)
			flood(ctx, &wg, h.addr, *slow, c.bytes)
			for h.busy.Load() < min(int64(*silent), 1000) {
				runtime.Gosched()
			}
			client := ringtest.DialConfig()
			client.Transport, client.Security = ringdht.TCP{}, security(c.dials)
			longest := time.Duration(0)
			for range 10 {
				start := time.Now()
				conn, _, _, err := client.Dial(t.Context(), h.addr, wire.Hello{Role: wire.RoleMember})
				if err != nil {
					t.Fatal(err)
				}
				longest = max(longest, time.Since(start))
				conn.Close()
			}
			if busy := h.busy.Load(); busy > 1100 {
				t.Errorf("%d connections are served at the same time", busy)
			}
			t.Logf("%d connections without a word; a handshake takes %v at most", *silent, longest)
		})
	}
}
