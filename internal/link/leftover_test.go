package link

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/fifo"
)

func all(q fifo.Queue) []byte {
	var b []byte
	for c := range q.Chunks() {
		b = append(b, c...)
	}
	return b
}

// TestLeftover: frames whose write had not begun are returned once the connection has ended, once.
func TestLeftover(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 1<<20, 1)
		w.KeepLeftover()
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		appended(t, w, frames(100, 200), 400)
		if q := w.Leftover(); q.Size() != 0 {
			t.Fatal("handed over while the connection stands")
		}
		gone := errors.New("gone")
		w.Fail(gone)
		synctest.Wait()
		if got := all(w.Leftover()); !bytes.Equal(got, frames(100, 200)) {
			t.Errorf("%d bytes are left over", len(got))
		}
		if q := w.Leftover(); q.Size() != 0 || w.Queued() != 0 || w.Err() != gone {
			t.Error("handed over twice", w.Queued(), w.Err())
		}
		w.Close()
	})
}

// TestNoLeftover: a caller need not collect the leftover.
func TestNoLeftover(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := NewWriter(newGate(), 1<<20, 1)
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		appended(t, w, frame(0, 100), 200)
		w.Fail(errors.New("gone"))
		if q := w.Leftover(); q.Size() != 0 || w.q.Front() != nil {
			t.Error("it holds frames that no caller wants")
		}
		w.Close()
	})
}

// TestWritesAreBounded: progress shows, and the rest can be left over.
func TestWritesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 4<<20, 1)
		w.KeepLeftover()
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		var want [][]byte
		for i := range 10 {
			want = append(want, frame(i, 60<<10))
			appended(t, w, want[i], 100+(i+1)*60<<10)
		}
		mark, err := w.AppendMarked(frame(10, 32))
		if total := int64(100 + 600<<10 + 32); err != nil || mark != total {
			t.Fatal(mark, err)
		}
		for i := range 4 { // the writer has taken four of them
			g.let(1)
			if p := w.Progress(); p.Written != int64(100+(i+1)*60<<10) || p.Done != 100 || p.Queued != 600<<10+32 {
				t.Fatalf("in write %d: %+v", i, p)
			}
		}
		g.let(2) // one of the next four has begun
		if p := w.Progress(); p.Total != mark || p.Done != 100+240<<10 || p.Written != 100+360<<10 || p.Queued != 360<<10+32 {
			t.Fatalf("%+v", p)
		}
		w.Fail(errors.New("gone"))
		synctest.Wait()
		if got := all(w.Leftover()); !bytes.Equal(got, slices.Concat(want[8], want[9], frame(10, 32))) {
			t.Errorf("%d bytes are left over", len(got))
		}
		w.Close()
	})
}
