package memnet

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestHold(t *testing.T) {
	faulty(t, func(t *testing.T, n *Network, a, b net.Conn) {
		write(t, a, "before")
		n.Hold("a", "b")
		read(t, b, "before")
		write(t, a, "held ")
		write(t, a, "back")
		silent(t, b)
		write(t, b, "other way")
		read(t, a, "other way")
		w := writing(a, make([]byte, bufferSize))
		waits(t, w)
		n.Release("a", "b")
		start := time.Now()
		read(t, b, "held back")
		at(t, start, 0)
		if got := <-w; got != (result{bufferSize, nil}) {
			t.Fatal(got)
		}
		read(t, b, string(make([]byte, bufferSize)))
		write(t, a, "after")
		read(t, b, "after")
	})
}

// TestHoldAndDelay: under way before or after the Hold, bytes arrive at the Release or at their own time, whichever is later.
func TestHoldAndDelay(t *testing.T) {
	faulty(t, func(t *testing.T, n *Network, a, b net.Conn) {
		start := time.Now()
		n.Delay("a", "b", 10*time.Second, 0)
		write(t, a, "1")
		time.Sleep(5 * time.Second)
		n.Hold("a", "b")
		write(t, a, "2")
		time.Sleep(7 * time.Second)
		r := reading(b, make([]byte, 2))
		waits(t, r)
		n.Release("a", "b")
		if got := <-r; got != (result{1, nil}) {
			t.Fatal(got)
		}
		at(t, start, 12*time.Second)
		read(t, b, "2")
		at(t, start, 15*time.Second)
	})
}

// TestSilentDeath: the peer of a host that is held and then closed notices nothing.
func TestSilentDeath(t *testing.T) {
	faulty(t, func(t *testing.T, n *Network, a, b net.Conn) {
		n.Hold("a", "")
		a.Close()
		silent(t, b)
		write(t, b, "anybody?")
		w := writing(b, make([]byte, bufferSize)) // the peer does not read any more
		waits(t, w)
		if h := b.(*conn).out; h.buf.head != nil {
			t.Error("bytes for a closed reader are kept")
		}
		n.Heal()
		wantErr(t, (<-w).err, syscall.EPIPE)
		readEOF(t, b)
	})
}

func TestHoldDial(t *testing.T) {
	for _, dir := range [][2]string{{"a", "b"}, {"b", "a"}, {"", ""}} {
		bubble(t, func(t *testing.T) {
			n := New(1)
			l := listen(t, n, "b", ":1")
			defer l.Close()
			n.Hold(dir[0], dir[1])
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := n.Host("a").Dial(ctx, "b:1")
			wantErr(t, err, context.DeadlineExceeded)
			if !err.(*net.OpError).Timeout() {
				t.Errorf("%v is no timeout", err)
			}
			at(t, start, time.Second)
			ctx2, cancel2 := context.WithCancel(t.Context())
			canceled := dialing(ctx2, n, "a", "b:1")
			cancel2()
			wantErr(t, (<-canceled).err, context.Canceled)

			d, absent := dialing(t.Context(), n, "a", "b:1"), dialing(t.Context(), n, "a", "b:2")
			waits(t, d)
			waits(t, absent)
			n.Release(dir[0], dir[1])
			got := <-d
			if got.err != nil {
				t.Fatal(got.err)
			}
			got.conn.Close()
			wantErr(t, (<-absent).err, syscall.ECONNREFUSED)

			n.Hold(dir[0], dir[1])
			d = dialing(t.Context(), n, "a", "b:1")
			n.Cut("a", "b")
			wantErr(t, (<-d).err, syscall.ECONNREFUSED)
		})
	}
}

func TestPartition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(1)
		ab, ba := pair(t, n, "a", "b")
		ac, ca := pair(t, n, "a", "c")
		ax, xa := pair(t, n, "a", "x")
		l := listen(t, n, "c", ":1")
		defer l.Close()
		n.Partition([]string{"a", "b"}, []string{"c"})
		write(t, ac, "to c")
		write(t, ca, "to a")
		silent(t, ac)
		silent(t, ca)
		write(t, ab, "together")
		read(t, ba, "together")
		write(t, ax, "outside")
		read(t, xa, "outside")
		d := dialing(t.Context(), n, "b", "c:1")
		waits(t, d)

		n.Release("a", "c")
		read(t, ca, "to c")
		silent(t, ac)
		n.Heal()
		read(t, ac, "to a")
		got := <-d
		if got.err != nil {
			t.Fatal(got.err)
		}
		got.conn.Close()
	})
}
