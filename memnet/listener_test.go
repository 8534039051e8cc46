package memnet

import (
	"context"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestAcceptWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(1)
		l := listen(t, n, "b", ":1")
		acc := async(func() outcome { c, err := l.Accept(); return outcome{c, err} })
		waits(t, acc)
		a := dialed(t, n, "a", "b:1")
		defer a.Close()
		got := <-acc
		if got.err != nil {
			t.Fatal(got.err)
		}
		got.conn.Close()

		acc = async(func() outcome { c, err := l.Accept(); return outcome{c, err} })
		acc2 := async(func() outcome { c, err := l.Accept(); return outcome{c, err} })
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		wantErr(t, (<-acc).err, net.ErrClosed)
		wantErr(t, (<-acc2).err, net.ErrClosed)
		_, err := l.Accept()
		wantErr(t, err, net.ErrClosed)
		wantErr(t, l.Close(), net.ErrClosed)
	})
}

func TestBacklog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(1)
		l := listen(t, n, "b", ":1")
		for range maxBacklog {
			defer dialed(t, n, "a", "b:1").Close()
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		given := dialing(ctx, n, "a", "b:1")
		first := dialing(t.Context(), n, "a", "b:1")
		second := dialing(t.Context(), n, "a", "b:1")
		third := dialing(t.Context(), n, "c", "b:1")
		fourth := dialing(t.Context(), n, "d", "b:1")
		wantErr(t, (<-given).err, context.DeadlineExceeded) // its place goes to the next
		at(t, start, time.Second)

		accepted(t, l).Close()
		got := <-first
		if got.err != nil {
			t.Fatal(got.err)
		}
		defer got.conn.Close()
		waits(t, second)

		n.Hold("a", "b") // takes the second out of the queue
		accepted(t, l).Close()
		got3 := <-third
		if got3.err != nil {
			t.Fatal(got3.err)
		}
		defer got3.conn.Close()
		n.Cut("d", "b") // refuses the fourth, full backlog or not
		wantErr(t, (<-fourth).err, syscall.ECONNREFUSED)
		n.Release("a", "b") // puts the second back
		waits(t, second)

		l.Close()
		wantErr(t, (<-second).err, syscall.ECONNREFUSED)
		for _, c := range []net.Conn{got.conn, got3.conn} {
			_, err := c.Read(make([]byte, 1))
			wantErr(t, err, syscall.ECONNRESET)
			_, err = c.Write(make([]byte, 1))
			wantErr(t, err, syscall.ECONNRESET)
		}
	})
}

func TestDialerGoneBeforeAccept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(1)
		l := listen(t, n, "b", ":1")
		defer l.Close()
		a := dialed(t, n, "a", "b:1")
		write(t, a, "bye")
		a.Close()
		b := accepted(t, l)
		defer b.Close()
		read(t, b, "bye")
		readEOF(t, b)
	})
}

// TestResetTravels closes a listener behind a Hold: the dialer must not learn of it before the Release.
func TestResetTravels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(1)
		l := listen(t, n, "b", ":1")
		a := dialed(t, n, "a", "b:1")
		defer a.Close()
		n.Hold("b", "a")
		l.Close()
		write(t, a, "x")
		r := reading(a, make([]byte, 1))
		waits(t, r)
		n.Release("b", "a")
		wantErr(t, (<-r).err, syscall.ECONNRESET)
		_, err := a.Write([]byte("x"))
		wantErr(t, err, syscall.ECONNRESET)
	})
}

// TestDialRacesClose closes a listener while many dial it: each dial is refused, or gets a connection that ends.
func TestDialRacesClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(1)
		l := listen(t, n, "b", ":1")
		for range 3 * maxBacklog {
			go func() {
				c, err := n.Host("a").Dial(t.Context(), "b:1")
				if err != nil {
					wantErr(t, err, syscall.ECONNREFUSED)
					return
				}
				defer c.Close()
				if _, err := c.Read(make([]byte, 1)); err == nil {
					t.Error("read without a peer")
				}
			}()
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		l.Close()
		synctest.Wait()
		if len(n.links) != 0 || n.held.Len() != 0 {
			t.Fatalf("%d connections left", len(n.links))
		}
	})
}
