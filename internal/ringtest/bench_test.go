package ringtest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/memnet"
)

// BenchmarkRing measures a ring of ten nodes with three entries each. Each message goes to a
// node drawn at random, on a stream. An operation is a message.
func BenchmarkRing(b *testing.B) {
	for _, size := range []int{4, 8, 256, 4096} {
		for _, over := range []string{"memory", "tcp", "tls"} {
			b.Run(fmt.Sprintf("nodes=10/%s/bytes=%d", over, size), func(b *testing.B) {
				var mem *memnet.Network
				var transport ringdht.Transport = ringdht.TCP{}
				switch over {
				case "memory":
					mem = memnet.New(1)
				case "tls":
					transport = newOverTLS(b)
				}
				var tr *ringtest.Ring
				if mem != nil {
					tr = ringtest.New(b, mem)
				} else {
					tr = ringtest.New(b, nil, ringdht.WithTransport(transport))
				}
				for range 10 {
					tr.Join(nil, ringdht.WithTraffic())
				}
				tr.Setup(3)
				tr.Run(ringdht.Traffic{Messages: 1000, Payload: size}) // streams are open from here on
				b.SetBytes(int64(size))
				b.ResetTimer()
				cpu := ringtest.CPUTime()
				s := tr.Run(ringdht.Traffic{Messages: max(b.N/10, 1), Payload: size})
				b.StopTimer()
				b.ReportMetric(float64(ringtest.CPUTime()-cpu)/float64(max(b.N, 10)), "cpu-ns/op")
				b.ReportMetric(s.Rate(), "msg/s")
				b.ReportMetric(s.MeanHops, "hops")
			})
		}
	}
}

// BenchmarkFirstRun measures a first run: every message opens a stream to another sink.
func BenchmarkFirstRun(b *testing.B) {
	for b.Loop() {
		tr := ringtest.New(b, memnet.New(1), ringdht.WithBits(7))
		for range 128 {
			tr.Join(nil, ringdht.WithTraffic())
		}
		tr.Setup(0)
		tr.Run(ringdht.Traffic{Messages: 100})
		tr.Close()
	}
}

// overTLS is a transport that has the cost of a secure ring, without its admissions.
type overTLS struct {
	ringdht.TCP
	client, server *tls.Config
}

func newOverTLS(tb testing.TB) *overTLS {
	key := ringtest.NewRingKey()
	side := func(c *ringtest.Credentials) secure.Side {
		cert, err := c.Certificate(tb.Context(), "")
		if err != nil {
			tb.Fatal(err)
		}
		return secure.Side{
			Certificate: func(context.Context, string) (*tls.Certificate, error) { return cert, nil },
			Check:       func(cs *tls.ConnectionState) error { _, err := c.Check(0, cs); return err },
		}
	}
	return &overTLS{client: side(key.Member(1, 1)).Client(secure.Protocol), server: side(key.Member(2, 2)).Server(secure.Protocol)}
}

func (o *overTLS) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := o.TCP.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return secure.NewClient(conn, o.client), nil
}

func (o *overTLS) Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := o.TCP.Listen(ctx, addr)
	return listensTLS{l, o.server}, err
}

type listensTLS struct {
	net.Listener
	config *tls.Config
}

func (l listensTLS) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return secure.NewServer(conn, l.config), nil
}
