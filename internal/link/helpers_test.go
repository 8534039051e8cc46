package link

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// bubble runs a test in a synctest bubble. A goroutine that waits for ever or is left over fails the test.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// frame returns one of so many bytes, with a number.
func frame(seq, size int) []byte {
	body := bytes.Repeat([]byte{byte(1 + seq%250)}, size-wire.HeaderSize)
	return wire.Append(nil, wire.Header{Type: wire.Data, Seq: uint64(seq)}, body)
}

// frames returns frames of these sizes, numbered from 0.
func frames(sizes ...int) (b []byte) {
	for i, n := range sizes {
		b = append(b, frame(i, n)...)
	}
	return b
}

func appended(t *testing.T, w *Writer, b []byte, want int) {
	t.Helper()
	if queued, err := w.Append(b); queued != want || err != nil {
		t.Fatalf("Append = %d, %v; want %d", queued, err, want)
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

// A gate is a connection whose writes each wait to be let through.
type gate struct {
	net.Conn // nil: nothing else may be called
	pass     chan error
	closed   chan struct{}
	once     sync.Once
	slow     chan struct{} // Close waits for it, unless it is nil

	mu     sync.Mutex
	writes [][]byte
	closes int
}

func newGate() *gate { return &gate{pass: make(chan error), closed: make(chan struct{})} }

func (g *gate) Write(p []byte) (int, error) {
	select {
	case err := <-g.pass:
		if err != nil {
			return 0, err
		}
	case <-g.closed:
		return 0, net.ErrClosed
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes = append(g.writes, bytes.Clone(p))
	return len(p), nil
}

func (g *gate) Close() error {
	g.mu.Lock()
	g.closes++
	g.mu.Unlock()
	g.once.Do(func() { close(g.closed) })
	if g.slow != nil {
		<-g.slow
	}
	return nil
}

// let lets writes through, waiting for each to begin and for what follows it to come to rest.
func (g *gate) let(n int) {
	for range n {
		g.pass <- nil
		synctest.Wait()
	}
}

func (g *gate) written() [][]byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.writes
}

func (g *gate) isClosed() bool {
	select {
	case <-g.closed:
		return true
	default:
		return false
	}
}

// A script is a connection whose reads give what it says, at most a piece at a time, and then an error.
type script struct {
	net.Conn
	pieces [][]byte
	err    error // io.EOF if nil
	reads  int
}

func (s *script) Read(p []byte) (int, error) {
	s.reads++
	if len(p) == 0 {
		panic("a read of no bytes")
	}
	if len(s.pieces) == 0 {
		if s.err == nil {
			return 0, io.EOF
		}
		return 0, s.err
	}
	n := copy(p, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func (s *script) SetReadDeadline(time.Time) error { return nil }

// spans calls [Writer.AppendSpans], and WriteDirect if told to.
func (w *Writer) spans(buf []byte, spans []Span) (taken int, err error) {
	taken, _, due, err := w.AppendSpans(buf, spans)
	if due {
		w.WriteDirect()
	}
	return taken, err
}
