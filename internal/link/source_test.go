package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// A well is a source whose Pull gives one frame, or more of them up to each bytes.
type well struct {
	mu    sync.Mutex
	q     fifo.Queue
	each  int
	pulls int
}

func (s *well) Pull(_ *Writer, q *fifo.Queue, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls++
	s.q.Move(q, min(limit, s.each))
	return s.q.Size() > 0
}

func enlisted(t *testing.T, w *Writer, s *well, frames []byte) {
	t.Helper()
	s.mu.Lock()
	s.q.Append(frames)
	s.mu.Unlock()
	due, err := w.Enlist(s)
	if err != nil {
		t.Fatal(err)
	}
	if due {
		w.WriteDirect()
	}
}

// TestSourcesTakeTurns: what was appended first, then the sources in the order in which they came; one that has more
// waits until the others had their turn.
func TestSourcesTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 4<<20, 1)
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		greedy, modest := &well{each: 200 << 10}, &well{each: 1 << 20}
		big := [][]byte{frame(1, 200<<10), frame(2, 200<<10)}
		enlisted(t, w, greedy, slices.Concat(big...))
		enlisted(t, w, modest, frames(100, 150))
		appended(t, w, frame(7, 300), 400)
		for range 10 {
			select {
			case g.pass <- nil:
				synctest.Wait()
			default:
			}
		}
		got := bytes.Join(g.written(), nil)
		if want := slices.Concat(frame(0, 100), frame(7, 300), big[0], frames(100, 150), big[1]); !bytes.Equal(got, want) {
			t.Errorf("wrote %d bytes of %d, or in another order", len(got), len(want))
		}
		if p := w.Progress(); p.Total != int64(len(got)) || p.Written != p.Total || p.Done != 400 || p.Queued != 0 {
			t.Errorf("%+v", p)
		}
		if greedy.pulls != 2 || modest.pulls != 1 {
			t.Error("pulled", greedy.pulls, modest.pulls)
		}
		w.Close()
	})
}

// TestRelayedComesFirst: with more of both than a write takes, sources get a small part, but they do get it.
func TestRelayedComesFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 4<<20, 1)
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		s := &well{each: 1 << 20}
		var own, relayed []byte
		for i := range 20 {
			own = append(own, frame(i, 60<<10)...)
			relayed = append(relayed, frame(100+i, 60<<10)...)
		}
		if _, err := w.Append(relayed); err != nil {
			t.Fatal(err)
		}
		enlisted(t, w, s, own)
		g.let(1)
		p := w.Progress()
		ofRelayed := w.startedTotal - 100
		ofOwn := int64(p.Queued) - (int64(len(relayed)) - ofRelayed) - ofRelayed
		if ofRelayed < 170<<10 || ofOwn < 20<<10 || ofOwn > 70<<10 || ofRelayed+ofOwn > maxWrite+64<<10 {
			t.Errorf("a write of %d relayed and %d own bytes", ofRelayed, ofOwn)
		}
		w.Close()
	})
}

// TestSourcesOfAnEndedLink: no source is pulled any more, and none can enlist.
func TestSourcesOfAnEndedLink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := NewWriter(newGate(), 1<<20, 1)
		w.KeepLeftover()
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		s := &well{each: 1 << 20}
		enlisted(t, w, s, frame(1, 100))
		gone := errors.New("gone")
		w.Fail(gone)
		synctest.Wait()
		if _, err := w.Enlist(s); err != gone || s.pulls != 0 || s.q.Size() != 100 || len(w.sources) != 0 {
			t.Error(err, s.pulls, s.q.Size(), len(w.sources))
		}
		w.Close()
	})
}

// TestRetireWaitsForSources: a retired link still pulls the enlisted sources.
func TestRetireWaitsForSources(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 1<<20, 1)
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		enlisted(t, w, &well{each: 1 << 20}, frame(1, 100))
		w.Retire()
		g.let(2)
		if got := bytes.Join(g.written(), nil); len(got) != 200 || g.closes != 1 {
			t.Error(len(got), "bytes written, closed", g.closes)
		}
		w.Close()
	})
}

// idleWriter returns a writer that has been idle long enough for a direct write.
func idleWriter(t *testing.T, conn net.Conn, limit, low int) *Writer {
	t.Helper()
	w := NewWriter(conn, limit, low)
	if w.directWriter == nil {
		t.Skip("this system's sockets cannot be tried without waiting, so nothing is written at once")
	}
	w.lastWrite = -time.Hour
	return w
}

// TestWriteDirect: on an idle socket the appender writes without blocking, and the goroutine writes the rest.
func TestWriteDirect(t *testing.T) {
	near, far := tcpPair(t)
	w := idleWriter(t, near, 64<<20, 1)
	big := frame(0, 40<<10) // one chunk; many of them are more than a socket takes
	var want []byte
	for range 400 {
		want = append(want, big...)
	}
	var spans []Span
	for at := 0; at < len(want); at += len(big) {
		spans = append(spans, Span{at, at + len(big)})
	}
	taken, _, due, err := w.AppendSpans(want, spans)
	if taken != len(spans) || !due || err != nil {
		t.Fatal(taken, due, err)
	}
	if _, _, due, err := w.AppendSpans(big, []Span{{0, len(big)}}); due || err != nil {
		t.Fatal("due twice", err)
	}
	want = append(want, big...)
	w.WriteDirect() // the peer does not read yet
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
		t.Error("not what was sent", err)
	}
	w.Close()
	if p := w.Progress(); p.Written != int64(len(want)) || p.Queued != 0 {
		t.Errorf("%+v", p)
	}
}

// TestWriteDirectOnAnEndedConnection: the goroutine's write finds the error, and no frame is left over twice.
func TestWriteDirectOnAnEndedConnection(t *testing.T) {
	near, _ := tcpPair(t)
	w := idleWriter(t, near, 1<<20, 1)
	w.KeepLeftover()
	near.Close()
	if _, _, due, err := w.AppendFrames(wire.Header{Type: wire.Cast}, false, bodies("")); !due || err != nil {
		t.Fatal(due, err)
	}
	w.WriteDirect()
	w.wg.Wait()
	if w.Err() == nil || w.Queued() != 0 {
		t.Error(w.Err(), w.Queued())
	}
	w.Close()
}

// TestWriteDirectSignalsRoom: others may wait for room while an appender writes directly.
func TestWriteDirectSignalsRoom(t *testing.T) {
	near, _ := tcpPair(t)
	w := idleWriter(t, near, 1<<20, 100)
	if _, _, due, err := w.AppendFrames(wire.Header{Type: wire.Cast}, false, bodies("")); !due || err != nil {
		t.Fatal(due, err)
	}
	if _, err := w.Append(frame(1, 200)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	room := make(chan error, 1)
	go func() { room <- w.Room(ctx) }()
	for waits := false; !waits; runtime.Gosched() {
		waits = w.room.Awaited()
	}
	w.WriteDirect()
	if err := <-room; err != nil {
		t.Error(err)
	}
	w.Close()
}

// counted is a connection with its own Write, like one that encrypts.
type counted struct {
	*net.TCPConn
	n int
}

func (c *counted) Write(b []byte) (int, error) {
	c.n += len(b)
	return c.TCPConn.Write(b)
}

// TestWriteDirectKeepsOtherWrites: a Write that is not package net's must not be bypassed.
func TestWriteDirectKeepsOtherWrites(t *testing.T) {
	near, _ := tcpPair(t)
	c := &counted{TCPConn: near.(*net.TCPConn)}
	w := NewWriter(c, 1<<20, 100)
	w.mu.Lock()
	w.lastWrite = -time.Hour
	w.mu.Unlock()
	if _, _, due, err := w.AppendFrames(wire.Header{Type: wire.Cast}, false, [][]byte{make([]byte, 100-wire.HeaderSize)}); err != nil {
		t.Fatal(err)
	} else if due {
		w.WriteDirect()
	}
	w.Shutdown(10 * time.Second)
	if c.n != 100 {
		t.Error(c.n, "bytes were written by the connection's own Write")
	}
}

// TestLargeFramesLetSourcesIn: sources get their part also where each relayed frame exceeds the size of a write.
func TestLargeFramesLetSourcesIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 8<<20, 1)
		for i := range 10 {
			if _, err := w.Append(frame(i, 300<<10)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		s := &well{each: 1 << 20}
		enlisted(t, w, s, frame(99, 100))
		g.let(6) // the pieces of the first frame, and one of the second
		if s.pulls == 0 {
			t.Error("the source waits for all that is relayed")
		}
		w.Close()
	})
}

// TestPulledDoesNotCount: frames of sources do not take the room of relayed frames.
func TestPulledDoesNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 200<<10, 1)
		s := &well{each: 1 << 20}
		var own []byte
		for i := range 4 {
			own = append(own, frame(i, 60<<10)...)
		}
		enlisted(t, w, s, own)
		synctest.Wait() // all of it is being written
		if queued, err := w.Append(frame(9, 20<<10)); err != nil || queued != 20<<10 {
			t.Error(queued, err)
		}
		if p := w.Progress(); p.Queued != 260<<10 {
			t.Errorf("%+v", p)
		}
		w.Close()
	})
}

func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	far = <-accepted
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}
