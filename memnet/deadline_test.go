package memnet

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func wantTimeout(t *testing.T, err error) {
	t.Helper()
	wantErr(t, err, os.ErrDeadlineExceeded)
	if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
		t.Fatalf("%v is no timeout", err)
	}
}

func TestReadDeadline(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		start := time.Now()
		a.SetReadDeadline(start.Add(time.Second))
		_, err := a.Read(make([]byte, 1))
		wantTimeout(t, err)
		at(t, start, time.Second)

		write(t, b, "x")
		_, err = a.Read(make([]byte, 1)) // bytes do not help against a deadline that has passed
		wantTimeout(t, err)
		write(t, a, "y") // the other direction has its own
		read(t, b, "y")

		a.SetReadDeadline(time.Time{})
		read(t, a, "x")
		r := reading(a, make([]byte, 1))
		time.Sleep(time.Minute)
		waits(t, r)
		a.SetReadDeadline(time.Now().Add(-1)) // wakes it
		wantTimeout(t, (<-r).err)
		at(t, start, time.Second+time.Minute)
	})
}

func TestWriteDeadline(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		start := time.Now()
		data := pattern(bufferSize + 1)
		a.SetWriteDeadline(start.Add(time.Second))
		n, err := a.Write(data)
		wantTimeout(t, err)
		at(t, start, time.Second)
		if n != bufferSize {
			t.Fatalf("%d bytes written", n)
		}
		read(t, b, string(data[:n]))
		_, err = a.Write(data[n:])
		wantTimeout(t, err)
		a.SetWriteDeadline(time.Time{})
		write(t, a, string(data[n:]))
		read(t, b, string(data[n:]))
	})
}

func TestDeadlineMoves(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		start := time.Now()
		a.SetDeadline(start.Add(time.Second))
		r := reading(a, make([]byte, 1))
		a.SetDeadline(start.Add(3 * time.Second)) // later
		time.Sleep(2 * time.Second)
		waits(t, r)
		a.SetDeadline(start.Add(2500 * time.Millisecond)) // earlier
		wantTimeout(t, (<-r).err)
		at(t, start, 2500*time.Millisecond)

		a.SetDeadline(time.Now().Add(time.Second))
		r = reading(a, make([]byte, 1))
		a.SetDeadline(time.Time{}) // none
		time.Sleep(time.Hour)
		waits(t, r)
		write(t, b, "x")
		if got := <-r; got != (result{1, nil}) {
			t.Fatal(got)
		}
	})
}

// TestLateTimer fires the timer of a deadline that was replaced, as happens when Stop comes too late.
func TestLateTimer(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		h := a.(*conn).in
		a.SetReadDeadline(time.Now().Add(time.Second))
		timer := h.readTimeout.timer
		timer.Reset(0)
		r := reading(a, make([]byte, 1))
		time.Sleep(time.Millisecond)
		waits(t, r)
		a.SetReadDeadline(time.Time{})
		timer.Reset(0)
		time.Sleep(time.Millisecond)
		waits(t, r)
		a.Close()
		<-r
	})
}

func TestCloseStopsTimers(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		a.SetDeadline(time.Now().Add(time.Hour))
		c := a.(*conn)
		c.Close()
		if c.in.readTimeout.timer.Stop() || c.out.writeTimeout.timer.Stop() {
			t.Fatal("a timer was still running")
		}
	})
}
