package handshake_test

import (
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
)

// BenchmarkHandshake measures handshakes over TCP, both ends in this process, and what an idle
// connection holds.
func BenchmarkHandshake(b *testing.B) {
	key := ringtest.NewRingKey()
	for name, c := range map[string]struct{ dials, accepts *ringtest.Credentials }{
		"open": {}, "secure": {key.Newcomer(), key.Registry()},
	} {
		b.Run(name, func(b *testing.B) {
			h := newHost(b, security(c.accepts))
			client := ringtest.DialConfig()
			client.Transport, client.Security = ringdht.TCP{}, security(c.dials)
			var conns []net.Conn
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			cpu := ringtest.CPUTime()
			for b.Loop() {
				conn, _, _, err := client.Dial(b.Context(), h.addr, wire.Hello{Role: wire.RoleMember})
				if err != nil {
					b.Fatal(err)
				}
				if len(conns) < 200 {
					conns = append(conns, conn)
				} else {
					conn.Close()
				}
			}
			b.ReportMetric(float64(ringtest.CPUTime()-cpu)/float64(b.N), "cpu-ns/op")
			for deadline := time.Now().Add(time.Second); h.busy.Load() > int64(len(conns)) && time.Now().Before(deadline); {
				runtime.Gosched()
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/float64(len(conns)), "heap-B/pair")
			for _, conn := range conns {
				conn.Close()
			}
		})
	}
}

// BenchmarkFlooded measures what throughput a connection keeps while newcomers in a secure ring
// shake hands without end.
func BenchmarkFlooded(b *testing.B) {
	for name, flooded := range map[string]bool{"quiet": false, "flooded": true} {
		b.Run(name, func(b *testing.B) {
			key := ringtest.NewRingKey()
			h := newHost(b, key.Registry())
			var wg sync.WaitGroup
			stop := make(chan struct{})
			var done int64
			if flooded {
				var mu sync.Mutex
				for range 8 {
					wg.Go(func() {
						client := ringtest.DialConfig()
						client.Transport, client.Security = ringdht.TCP{}, key.Newcomer()
						for {
							select {
							case <-stop:
								return
							default:
							}
							if conn, _, _, err := client.Dial(b.Context(), h.addr, wire.Hello{Role: wire.RoleMember}); err == nil {
								conn.Close()
								mu.Lock()
								done++
								mu.Unlock()
							}
						}
					})
				}
			}
			near, far := tcpPair(b)
			wg.Go(func() { io.Copy(io.Discard, far) })
			chunk := make([]byte, 64<<10)
			b.SetBytes(int64(len(chunk)))
			start := time.Now()
			for b.Loop() {
				near.Write(chunk)
			}
			took := time.Since(start)
			near.Close()
			close(stop)
			wg.Wait()
			far.Close()
			b.ReportMetric(float64(done)/took.Seconds(), "handshakes/s")
		})
	}
}
