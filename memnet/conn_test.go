package memnet

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestBothWays(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		p := []byte("hello")
		if n, err := a.Write(p); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		copy(p, "XXXXX") // Write has copied
		read(t, b, "hel")
		read(t, b, "lo")
		write(t, b, "ho")
		read(t, a, "ho")
		for _, c := range []net.Conn{a, b} {
			if n, err := c.Write(nil); n != 0 || err != nil {
				t.Fatalf("empty Write = %d, %v", n, err)
			}
			if n, err := c.Read(nil); n != 0 || err != nil {
				t.Fatalf("empty Read = %d, %v", n, err)
			}
		}
	})
}

func TestAddresses(t *testing.T) {
	n := New(1)
	l := listen(t, n, "b", ":80")
	defer l.Close()
	a := dialed(t, n, "a", "b:80")
	b := accepted(t, l)
	defer a.Close()
	defer b.Close()
	if b.LocalAddr().String() != "b:80" || a.RemoteAddr() != b.LocalAddr() || a.LocalAddr() != b.RemoteAddr() {
		t.Errorf("%v>%v and %v<%v", a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr())
	}
	if host, port, err := net.SplitHostPort(a.LocalAddr().String()); host != "a" || port == "0" || err != nil {
		t.Errorf("the dialer is %v", a.LocalAddr())
	}
	if a.LocalAddr().Network() != "mem" {
		t.Errorf("network %q", a.LocalAddr().Network())
	}
}

func TestStream(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		data := pattern(1 << 20)
		go func() {
			for rest := data; len(rest) > 0; {
				k := min(len(rest), 1+len(rest)%1000*7919%100_000)
				a.Write(rest[:k])
				rest = rest[k:]
			}
			a.Close()
		}()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(data), err)
		}
	})
}

func TestBackpressure(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		data := pattern(bufferSize + 10)
		w := writing(a, data)
		waits(t, w)
		read(t, b, string(data[:4]))
		waits(t, w)
		read(t, b, string(data[4:10]))
		if r := <-w; r != (result{len(data), nil}) {
			t.Fatal(r)
		}
		read(t, b, string(data[10:]))
	})
}

func TestWritesDoNotMix(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		const size = 3 * bufferSize / 2
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { a.Write(bytes.Repeat([]byte{byte(i)}, size)) })
		}
		p := make([]byte, size)
		for range 4 {
			if _, err := io.ReadFull(b, p); err != nil || bytes.Count(p, p[:1]) != size {
				t.Fatalf("%v, or bytes of several Writes", err)
			}
		}
		wg.Wait()
	})
}

func TestPartialWrite(t *testing.T) {
	full := make([]byte, bufferSize+1)
	for name, stop := range map[string]struct {
		do  func(a, b net.Conn)
		err error
	}{
		"closed":      {func(a, b net.Conn) { a.Close() }, net.ErrClosed},
		"half closed": {func(a, b net.Conn) { a.(*conn).CloseWrite() }, syscall.EPIPE},
		"peer closed": {func(a, b net.Conn) { b.Close() }, syscall.EPIPE},
	} {
		t.Run(name, func(t *testing.T) {
			over(t, func(t *testing.T, a, b net.Conn) {
				w, second := writing(a, full), writing(a, full) // the second waits for its turn
				stop.do(a, b)
				r := <-w
				wantErr(t, r.err, stop.err)
				r2 := <-second
				wantErr(t, r2.err, stop.err)
				if r.n+r2.n != bufferSize || r.n*r2.n != 0 {
					t.Fatalf("%d and %d bytes written", r.n, r2.n)
				}
			})
		})
	}
}

func TestClose(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		r := reading(a, make([]byte, 1))
		write(t, a, "last words")
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		wantErr(t, (<-r).err, net.ErrClosed)

		_, err := a.Read(make([]byte, 1))
		wantErr(t, err, net.ErrClosed)
		_, err = a.Read(nil)
		wantErr(t, err, net.ErrClosed)
		_, err = a.Write([]byte("x"))
		wantErr(t, err, net.ErrClosed)
		wantErr(t, a.SetDeadline(time.Time{}), net.ErrClosed)
		wantErr(t, a.SetReadDeadline(time.Now()), net.ErrClosed)
		wantErr(t, a.SetWriteDeadline(time.Now()), net.ErrClosed)
		wantErr(t, a.(*conn).CloseWrite(), net.ErrClosed)
		wantErr(t, a.Close(), net.ErrClosed)

		_, err = b.Write([]byte("x"))
		wantErr(t, err, syscall.EPIPE)
		read(t, b, "last words")
		readEOF(t, b)
		readEOF(t, b)
	})
}

func TestCloseWrite(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		write(t, a, "question")
		for range 2 {
			if err := a.(*conn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		_, err := a.Write([]byte("x"))
		wantErr(t, err, syscall.EPIPE)
		read(t, b, "question")
		readEOF(t, b)
		write(t, b, "answer") // the other direction stands
		read(t, a, "answer")
		a.Close()
		_, err = b.Write([]byte("x"))
		wantErr(t, err, syscall.EPIPE)
	})
}

func TestCloseWakesReader(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		r := reading(b, make([]byte, 1))
		a.Close()
		if got := <-r; got != (result{0, io.EOF}) {
			t.Fatal(got)
		}
	})
}

// TestConcurrent uses every method from several goroutines, for the race detector, and checks that none hangs.
func TestConcurrent(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		var wg sync.WaitGroup
		for _, c := range []net.Conn{a, b} {
			for i := range 3 {
				wg.Go(func() {
					p := make([]byte, 1000*(i+1))
					for range 100 {
						c.Write(p)
						c.SetDeadline(time.Now().Add(time.Duration(i) * time.Millisecond))
					}
				})
				wg.Go(func() {
					p := make([]byte, 700*(i+1))
					for range 100 {
						c.Read(p)
						c.SetReadDeadline(time.Now().Add(time.Duration(i) * time.Millisecond))
						c.LocalAddr()
					}
				})
			}
		}
		wg.Go(func() {
			time.Sleep(50 * time.Millisecond) // virtual
			a.Close()
			b.Close()
		})
		wg.Wait()
	})
}

func TestManyConnsLeaveNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(1)
		n.Delay("", "", time.Second, time.Second)
		l := listen(t, n, "server", ":1")
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				wg.Go(func() { defer c.Close(); io.Copy(c, c) })
			}
		})
		var clients sync.WaitGroup
		for i := range 300 {
			clients.Go(func() {
				c := dialed(t, n, fmt.Sprint("client", i), "server:1")
				defer c.Close()
				write(t, c, "hello")
				read(t, c, "hello")
			})
		}
		clients.Wait()
		l.Close()
		wg.Wait()
		synctest.Wait()
		if len(n.links) != 0 || len(n.Host("client7").dialing) != 0 || len(n.Host("server").listeners) != 0 {
			t.Fatalf("%d connections left", len(n.links))
		}
	})
}
