package plane

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// certificate is the same for all nodes: identity is not tested here.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// encrypted makes TLS connections over those of pipe, after their handshake.
func encrypted(pipe func(testing.TB) (net.Conn, net.Conn)) func(testing.TB) (net.Conn, net.Conn) {
	return func(t testing.TB) (net.Conn, net.Conn) {
		t.Helper()
		near, far := pipe(t)
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate()}})
		client := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		return client, server
	}
}

// Both directions of an encrypted connection are used at the same time. A link moves to it. Each
// direction ends alone, and the connection ends with the second.
func TestSharedTLS(t *testing.T) {
	for name, pipe := range map[string]func(testing.TB) (net.Conn, net.Conn){"memory": memory, "tcp": tcp} {
		t.Run(name, func(t *testing.T) {
			c := newCouple(t)
			pipe := encrypted(pipe)
			var wg sync.WaitGroup
			wg.Go(func() { dialOver(t, pipe, c.a, c.b) })
			wg.Go(func() { dialOver(t, pipe, c.b, c.a) })
			wg.Go(func() { c.exchange(2000) })
			wg.Wait()
			eventually(t, "one connection", c.shared)
			for _, p := range c.planes {
				p.Sweep(false) // its read deadlines must not hurt the other direction
				p.Sweep(false)
			}
			c.exchange(100)
			c.b.SetRoutes(table(c.b, 2))
			eventually(t, "the end of one direction", func() bool { return c.a.AwaitPeersEnded(canceled) == nil })
			if !c.a.HasLink(20, 101) || c.b.HasLink(10, 100) {
				t.Error("the other direction has ended too, or none")
			}
			from := c.next[1].Load()
			for i := range uint64(100) {
				if err := c.a.Cast(t.Context(), 20, 0, message(from+i)); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all of the other", func() bool { return c.next[1].Load() == from+100 })
			c.a.SetRoutes(table(c.a, 2))
			eventually(t, "no connection", func() bool { return c.a.peers() == 0 && c.b.peers() == 0 })
			c.quiet()
		})
	}
}

// A peer that reads nothing cannot keep an encrypted connection, nor delay the goroutine that
// closes it. The time is virtual: the 5 seconds that TLS gives its last alert are seen exactly.
func TestStuckTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		near, far := encrypted(memory)(t)
		c.a.AddLink(20, 101, near)
		for c.a.Counters().Queued < 1<<20 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			c.a.Cast(ctx, 20, 0, make([]byte, 60<<10))
			cancel()
		}
		start := time.Now()
		c.a.Evict(20, 101)
		if took := time.Since(start); took > 0 {
			t.Error("it held up its caller for", took)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := c.a.peers(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		far.Close()
	})
}
