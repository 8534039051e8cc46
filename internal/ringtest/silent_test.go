package ringtest_test

import (
	"context"
	"flag"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
)

var silentConns = flag.Int("silent", 1200, "how many silent connections TestJoinsAmongSilentConnections keeps at each of two ports")

// Nodes join and a run is exact while the registry and a node are full of connections that say
// nothing, or half a hello a byte at a time. Each of these comes again when it is closed.
func TestJoinsAmongSilentConnections(t *testing.T) {
	log := ringtest.NewLog()
	tr := ringtest.New(t, nil, log.Option().(ringdht.RegistryOption))
	for range 2 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, addr := range []string{tr.Addr, tr.Nodes[0].Peer().Addr} {
		for i := range *silentConns {
			wg.Go(func() {
				for ctx.Err() == nil {
					conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
					if err != nil {
						handshake.Sleep(ctx, 10*time.Millisecond)
						continue
					}
					stop := context.AfterFunc(ctx, func() { conn.Close() })
					if i%10 == 0 {
						for _, b := range []byte("RDHT\x01\x01\x00\x40") {
							if _, err := conn.Write([]byte{b}); err != nil || handshake.Sleep(ctx, time.Second) != nil {
								break
							}
						}
					} else {
						conn.Read(make([]byte, 1))
					}
					stop()
					conn.Close()
				}
			})
		}
	}
	log.WaitFor(t, "connections that prove nothing")
	start := time.Now()
	for range 4 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	t.Logf("four nodes have joined in %v", time.Since(start))
	tr.Setup(2)
	tr.Run(ringdht.Traffic{Messages: 1000})
}
