package link

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// overTLS makes TLS of both ends of a connection.
func overTLS(t testing.TB, near, far net.Conn) (client, server *secure.Conn) {
	t.Helper()
	side := func() secure.Side {
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		cert, err := secure.Certificate(key, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return secure.Side{
			Certificate: func(context.Context, string) (*tls.Certificate, error) { return cert, nil },
			Check:       func(*tls.ConnectionState) error { return nil },
		}
	}
	client, server = secure.NewClient(near, side().Client(secure.Protocol)), secure.NewServer(far, side().Server(secure.Protocol))
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

// Frames of all sizes go over TLS in their order, appended one at a time and in spans.
func TestFramesOverTLS(t *testing.T) {
	near, far := tcpPair(t)
	client, server := overTLS(t, near, far)
	w, r := NewWriter(client, 4<<20, 2<<20), NewReader(server, wire.Scan, 1<<20)
	defer r.Free()
	var sizes []int
	for i := range 500 {
		sizes = append(sizes, wire.HeaderSize+i*i%200000)
	}
	go func() {
		for i, size := range sizes {
			for {
				if _, err := w.Append(frame(i, size)); err != ErrFull {
					break
				}
				w.Room(t.Context())
			}
		}
		w.Retire()
	}()
	seen := 0
	for {
		b, err := r.Next()
		if err != nil {
			if err != io.EOF || seen != len(sizes) {
				t.Fatalf("%d of %d frames, %v", seen, len(sizes), err)
			}
			return
		}
		for len(b) > 0 {
			var f wire.Frame
			f, b = wire.Next(b)
			if !bytes.Equal(f, frame(seen, sizes[seen])) {
				t.Fatalf("frame %d of %d bytes has changed", seen, sizes[seen])
			}
			seen++
		}
	}
}

// An idle link gives its buffer back, and what comes later is read: the deadline of Trim does not
// stay in TLS.
func TestTrimOverTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		client, server := overTLS(t, near, far)
		w, r := NewWriter(client, 4<<20, 2<<20), NewReader(server, wire.Scan, 1<<20)
		defer r.Free()
		defer w.Close()
		defer server.Close()
		got := make(chan int, 1000)
		go func() {
			defer close(got)
			for {
				b, err := r.Next()
				if err != nil {
					return
				}
				got <- len(b)
			}
		}()
		receive := func(n int) {
			for n > 0 {
				n -= <-got
			}
		}
		for range 3 {
			for range 20 {
				w.Append(frame(0, 100000))
				receive(100000)
			}
			if !r.big.Load() {
				t.Error("the buffer has not grown")
			}
			for range 3 {
				r.Trim()
				synctest.Wait()
			}
			if r.big.Load() {
				t.Error("an idle link keeps its buffer")
			}
			if w.Append(frame(0, 100)); w.Err() != nil {
				t.Error(w.Err())
			}
			receive(100)
		}
	})
}

// A link closes at once even if its peer reads nothing: in the middle of a write, and when there is
// no room for another byte.
func TestCloseOverTLSDoesNotWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, full := range []bool{false, true} {
			near, far := memnet.Pipe()
			client, server := overTLS(t, near, far)
			w := NewWriter(client, 4<<20, 2<<20)
			if full {
				for near.SetWriteDeadline(time.Now().Add(time.Second)); ; {
					if _, err := near.Write(make([]byte, 1<<10)); err != nil {
						break
					}
				}
				near.SetWriteDeadline(time.Time{})
			} else {
				w.Append(frame(0, 1<<20)) // more than the connection takes
			}
			synctest.Wait()
			start := time.Now()
			w.Close()
			if took := time.Since(start); took > 0 {
				t.Errorf("Close took %v", took)
			}
			server.Close()
		}
	})
}

// BenchmarkTLS sends frames over TCP, in the open and over TLS.
func BenchmarkTLS(b *testing.B) {
	for _, size := range []int{40, 288, 4128} {
		for _, over := range []string{"open", "tls"} {
			b.Run(fmt.Sprintf("%s/%d", over, size), func(b *testing.B) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				near, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				far, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				l.Close()
				if over == "tls" {
					near, far = asConns(overTLS(b, near, far))
				}
				w, r := NewWriter(near, 1<<20, 1<<19), NewReader(far, wire.Scan, 1<<20)
				var wg sync.WaitGroup
				wg.Go(func() {
					for {
						if _, err := r.Next(); err != nil {
							return
						}
					}
				})
				f := frame(0, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					for {
						if _, err := w.Append(f); err == nil {
							break
						}
						w.Room(b.Context())
					}
				}
				bytes, writes := w.Stats()
				b.ReportMetric(float64(bytes)/float64(writes), "B/write")
				bytes, reads := r.Stats()
				b.ReportMetric(float64(bytes)/float64(reads), "B/read")
				w.Close()
				wg.Wait()
				far.Close()
			})
		}
	}
}

func asConns(a, b *secure.Conn) (net.Conn, net.Conn) { return a, b }
