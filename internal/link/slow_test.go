package link

import (
	"bytes"
	"testing"
	"testing/synctest"

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
