package memnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs a test in a synctest bubble: time is virtual and exact, and a goroutine left over fails the test.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// over runs a test over both kinds of connection.
func over(t *testing.T, f func(t *testing.T, a, b net.Conn)) {
	t.Helper()
	for name, makePair := range map[string]func(t *testing.T) (a, b net.Conn){
		"pipe":    func(t *testing.T) (a, b net.Conn) { return Pipe() },
		"network": func(t *testing.T) (a, b net.Conn) { return pair(t, New(1), "a", "b") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := makePair(t)
				defer a.Close()
				defer b.Close()
				f(t, a, b)
			})
		})
	}
}

func listen(t *testing.T, n *Network, host, addr string) net.Listener {
	t.Helper()
	l, err := n.Host(host).Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dialed(t *testing.T, n *Network, host, addr string) net.Conn {
	t.Helper()
	c, err := n.Host(host).Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func accepted(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pair connects two hosts. It closes both ends when the test ends, even if the test has done so.
func pair(t *testing.T, n *Network, from, to string) (a, b net.Conn) {
	t.Helper()
	l := listen(t, n, to, ":0")
	defer l.Close()
	a = dialed(t, n, from, l.Addr().String())
	b = accepted(t, l)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if n, err := c.Write([]byte(s)); n != len(s) || err != nil {
		t.Fatalf("Write(%q) = %d, %v", s, n, err)
	}
}

// read reads exactly want.
func read(t *testing.T, c net.Conn, want string) {
	t.Helper()
	p := make([]byte, len(want))
	if n, err := io.ReadFull(c, p); err != nil || string(p) != want {
		t.Fatalf("read %q, %v; want %q", p[:n], err, want)
	}
}

func readEOF(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("Read = %d, %v; want EOF", n, err)
	}
}

// silent checks that nothing can be read now, nor after a while.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Hour))
	defer c.SetReadDeadline(time.Time{})
	n, err := c.Read(make([]byte, 1))
	wantTimeout(t, err)
	if n != 0 {
		t.Fatalf("Read = %d bytes and %v", n, err)
	}
}

// wantErr checks that err is what package net would give: an OpError around want.
func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if _, ok := errors.AsType[*net.OpError](err); !ok || !errors.Is(err, want) {
		t.Fatalf("error %v (%T); want a *net.OpError around %v", err, err, want)
	}
}

func at(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if d := time.Since(start); d != want {
		t.Fatalf("after %v, want %v", d, want)
	}
}

// async runs f in a goroutine and lets it come to rest; the result can be taken from the channel.
func async[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	synctest.Wait()
	return c
}

// waits checks that an async call is still waiting.
func waits[T any](t *testing.T, c <-chan T) {
	t.Helper()
	synctest.Wait()
	select {
	case v := <-c:
		t.Fatalf("did not wait: %v", v)
	default:
	}
}

type result struct {
	n   int
	err error
}

func writing(c net.Conn, p []byte) <-chan result {
	return async(func() result { n, err := c.Write(p); return result{n, err} })
}

func reading(c net.Conn, p []byte) <-chan result {
	return async(func() result { n, err := c.Read(p); return result{n, err} })
}

type outcome struct {
	conn net.Conn
	err  error
}

func dialing(ctx context.Context, n *Network, host, addr string) <-chan outcome {
	return async(func() outcome { c, err := n.Host(host).Dial(ctx, addr); return outcome{c, err} })
}

func pattern(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.Bytes()[:n]
}
