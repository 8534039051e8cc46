package link

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/memnet"
)

// TestLongWriteShowsProgress: however long a frame is, Written grows with each piece of it. The frame
// counts as done when all of it is written, and so does a frame that shares its write.
func TestLongWriteShowsProgress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 4<<20, 1)
		defer w.Close()
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		long := frame(1, 1<<20)
		appended(t, w, long, 100+1<<20)
		mark, err := w.AppendMarked(frame(2, 32))
		if err != nil {
			t.Fatal(err)
		}
		g.let(1)
		for written := int64(100); written < 1<<20; {
			p := w.Progress()
			if p.Written <= written || p.Written > written+maxPiece {
				t.Fatalf("%d bytes in a piece", p.Written-written)
			}
			if p.Done >= mark {
				t.Fatal("done before all is written")
			}
			written = p.Written
			g.let(1)
		}
		g.let(1)
		if p := w.Progress(); p.Done != mark {
			t.Errorf("%+v", p)
		}
		got := g.written()
		if !bytes.Equal(bytes.Join(got, nil), append(append(frame(0, 100), long...), frame(2, 32)...)) {
			t.Error("other bytes arrived")
		}
	})
}

// TestWholeWrites: a connection that may lose a write gets whole frames.
func TestWholeWrites(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		w := NewWriter(near, 4<<20, 1)
		defer w.Close()
		if !w.whole {
			t.Fatal("the in-memory network is not known to lose writes")
		}
		appended(t, w, frame(0, 1<<20), 1<<20)
		synctest.Wait()
		if _, writes := w.Stats(); writes != 1 {
			t.Errorf("%d writes", writes)
		}
		far.Close()
	})
}

// A last word must not become the rest of a frame: the other side would take that for whole.
func TestFailWithWithinAFrame(t *testing.T) {
	near, far := tcpPair(t)
	w := idleWriter(t, near, 1<<20, 1)
	w.KeepLeftover()
	want := frame(1, 100)
	w.directWriter = shortWriter{w, func() { // another goroutine ends the connection during the write
		go w.FailWith(net.ErrClosed, frame(9, 50), time.Minute)
		for w.Err() == nil {
			runtime.Gosched()
		}
	}}
	if _, _, due, err := w.AppendSpans(want, []Span{{0, 100}}); err != nil || !due {
		t.Fatal(due, err)
	}
	w.WriteDirect()
	w.Close()
	got, err := io.ReadAll(far)
	if !bytes.Equal(got, want[:60]) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
}

// A shortWriter has room for 60 bytes of the first write, and does something meanwhile.
type shortWriter struct {
	w         *Writer
	meanwhile func()
}

func (s shortWriter) tryWrite(b []byte) int {
	s.meanwhile()
	n, _ := s.w.conn.Write(b[:60])
	return n
}
