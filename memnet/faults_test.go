package memnet

import (
	"bytes"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"
)

// faulty runs a test in a bubble, with a connection from host a to host b.
func faulty(t *testing.T, f func(t *testing.T, n *Network, a, b net.Conn)) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		n := New(1)
		a, b := pair(t, n, "a", "b")
		f(t, n, a, b)
	})
}

func TestDelay(t *testing.T) {
	faulty(t, func(t *testing.T, n *Network, a, b net.Conn) {
		start := time.Now()
		n.Delay("a", "b", 100*time.Millisecond, 0)
		write(t, b, "back") // the other direction is not slowed
		read(t, a, "back")
		at(t, start, 0)
		write(t, a, "one")
		time.Sleep(30 * time.Millisecond)
		write(t, a, "two")
		read(t, b, "one")
		at(t, start, 100*time.Millisecond)
		read(t, b, "two")
		at(t, start, 130*time.Millisecond)

		// Bytes under way keep their time, and later ones stay behind them.
		write(t, a, "three")
		n.Delay("a", "b", 0, 0)
		write(t, a, "four")
		r := reading(b, make([]byte, 20))
		time.Sleep(99 * time.Millisecond)
		waits(t, r)
		if got := <-r; got.n != len("threefour") {
			t.Fatal(got)
		}
		at(t, start, 230*time.Millisecond)
		write(t, a, "five")
		read(t, b, "five")
		at(t, start, 230*time.Millisecond)
	})
}

func TestDelayTheEnd(t *testing.T) {
	faulty(t, func(t *testing.T, n *Network, a, b net.Conn) {
		start := time.Now()
		n.Delay("a", "b", time.Second, 0)
		write(t, a, "last")
		time.Sleep(time.Millisecond)
		a.Close()
		write(t, b, "x") // cannot know yet
		read(t, b, "last")
		at(t, start, time.Second)
		readEOF(t, b)
		at(t, start, time.Second+time.Millisecond)
		_, err := b.Write([]byte("x"))
		wantErr(t, err, syscall.EPIPE)
	})
}

func TestJitter(t *testing.T) {
	const delay, jitter = 10 * time.Millisecond, 20 * time.Millisecond
	times := func(seed uint64) (all []time.Duration) {
		bubble(t, func(t *testing.T) {
			n := New(seed)
			a, b := pair(t, n, "a", "b")
			n.Delay("", "", delay, jitter)
			for i := range 50 {
				start := time.Now()
				write(t, a, string(rune('A'+i)))
				read(t, b, string(rune('A'+i)))
				d := time.Since(start)
				if d < delay || d >= delay+jitter {
					t.Fatalf("seed %d: took %v", seed, d)
				}
				all = append(all, d)
			}
			// Many at once: jitter never changes their order.
			data := pattern(1000)
			for _, c := range data {
				write(t, a, string(c))
			}
			read(t, b, string(data))
		})
		return all
	}
	one := times(1)
	if slices.Max(one)-slices.Min(one) < jitter/2 {
		t.Errorf("hardly any jitter: %v to %v", slices.Min(one), slices.Max(one))
	}
	if !slices.Equal(one, times(1)) {
		t.Error("one seed gave different times")
	}
	if slices.Equal(one, times(2)) {
		t.Error("different seeds gave the same times")
	}
}

// TestDelayedBytesFillTheBuffer: the window is bufferSize for each delay.
func TestDelayedBytesFillTheBuffer(t *testing.T) {
	faulty(t, func(t *testing.T, n *Network, a, b net.Conn) {
		start := time.Now()
		n.Delay("a", "b", time.Second, 0)
		data := pattern(3 * bufferSize)
		go func() {
			a.Write(data)
			a.Close()
		}()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		at(t, start, 3*time.Second)
	})
}

func TestDrop(t *testing.T) {
	faulty(t, func(t *testing.T, n *Network, a, b net.Conn) {
		n.Drop("a", "b", 1)
		write(t, a, string(make([]byte, 2*bufferSize))) // lost whole, does not wait
		silent(t, b)
		write(t, b, "back")
		read(t, a, "back")
		n.Drop("a", "b", 0.5)
		for range 1000 {
			write(t, a, "1234567890")
		}
		a.Close() // is not lost
		got, err := io.ReadAll(b)
		if k := len(got) / 10; err != nil || k < 400 || k > 600 || string(got) != string(bytes.Repeat([]byte("1234567890"), k)) {
			t.Fatalf("%d bytes of 10000, %v", len(got), err)
		}
	})
}

func TestCut(t *testing.T) {
	faulty(t, func(t *testing.T, n *Network, a, b net.Conn) {
		l := listen(t, n, "b", ":1")
		defer l.Close()
		pending := dialed(t, n, "a", "b:1")
		defer pending.Close()
		other, other2 := pair(t, n, "a", "c")

		write(t, a, "lost")
		r := reading(pending, make([]byte, 1))
		n.Cut("b", "a") // either way round
		wantErr(t, (<-r).err, syscall.ECONNRESET)
		for _, c := range []net.Conn{a, b, accepted(t, l)} {
			_, err := c.Read(make([]byte, 1))
			wantErr(t, err, syscall.ECONNRESET)
			n, err := c.Write(make([]byte, 1))
			wantErr(t, err, syscall.ECONNRESET)
			if n != 0 {
				t.Fatalf("%d bytes written", n)
			}
		}
		_, err := n.Host("a").Dial(t.Context(), "b:1")
		wantErr(t, err, syscall.ECONNREFUSED)
		write(t, other, "alive")
		read(t, other2, "alive")

		n.Mend("a", "b")
		_, err = a.Read(make([]byte, 1))
		wantErr(t, err, syscall.ECONNRESET)
		again := dialed(t, n, "a", "b:1")
		defer again.Close()
		write(t, again, "new")
		c := accepted(t, l)
		defer c.Close()
		read(t, c, "new")
		if err := a.Close(); err != nil {
			t.Errorf("closing what was cut: %v", err)
		}
		_, err = a.Read(make([]byte, 1))
		wantErr(t, err, net.ErrClosed)
	})
}

func TestCutWakesAll(t *testing.T) {
	faulty(t, func(t *testing.T, n *Network, a, b net.Conn) {
		r := reading(b, make([]byte, 1))
		w := writing(b, make([]byte, bufferSize+1))
		n.Cut("a", "")
		wantErr(t, (<-r).err, syscall.ECONNRESET)
		got := <-w
		wantErr(t, got.err, syscall.ECONNRESET)
		if got.n != bufferSize {
			t.Fatalf("%d bytes written", got.n)
		}
	})
}

func TestHeal(t *testing.T) {
	faulty(t, func(t *testing.T, n *Network, a, b net.Conn) {
		l := listen(t, n, "d", ":1")
		defer l.Close()
		n.Delay("", "", time.Hour, time.Hour)
		n.Drop("a", "", 1)
		n.Hold("", "b")
		n.Cut("c", "")
		n.Partition([]string{"a"}, []string{"b"})
		n.Heal()
		start := time.Now()
		write(t, a, "x")
		read(t, b, "x")
		write(t, b, "y")
		read(t, a, "y")
		c := dialed(t, n, "c", "d:1")
		defer c.Close()
		s := accepted(t, l)
		defer s.Close()
		write(t, c, "z")
		read(t, s, "z")
		at(t, start, 0)
	})
}

// TestFaultsMeetNewConns sets faults before the connection.
func TestFaultsMeetNewConns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := New(1)
		n.Delay("b", "", time.Second, 0)
		n.Drop("a", "b", 1)
		a, b := pair(t, n, "a", "b")
		start := time.Now()
		write(t, a, "lost")
		write(t, b, "late")
		read(t, a, "late")
		at(t, start, time.Second)
		silent(t, b)
	})
}
