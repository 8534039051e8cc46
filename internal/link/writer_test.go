package link

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/memnet"
)

func TestWriterWritesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		w := NewWriter(near, 1000, 500)
		defer w.Close()
		for i := range 3 {
			appended(t, w, frame(i, 100), 100)
			synctest.Wait()
			got := make([]byte, 100)
			if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, frame(i, 100)) {
				t.Fatalf("%x, %v", got, err)
			}
			if bytes, writes := w.Stats(); bytes != int64(100*(i+1)) || writes != int64(i+1) || w.Queued() != 0 {
				t.Fatalf("%d bytes in %d writes, %d queued", bytes, writes, w.Queued())
			}
		}
	})
}

func TestWriterGathers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 10_000, 5000)
		defer w.Close()
		want := frame(0, 40)
		appended(t, w, want, 40)
		synctest.Wait()
		var gathered []byte
		for i := range 20 {
			f := frame(i+1, 40)
			gathered = append(gathered, f...)
			appended(t, w, f, 40*(i+2))
		}
		g.let(2)
		if got := g.written(); len(got) != 2 || !bytes.Equal(got[0], want) || !bytes.Equal(got[1], gathered) {
			t.Fatalf("%d writes", len(got))
		}
	})
}

// TestWriterGathersChunks: what takes more than one chunk is still handed over as one.
func TestWriterGathersChunks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		w := NewWriter(near, 1<<20, 1<<19)
		defer w.Close()
		var want []byte
		add := func(f []byte) {
			want = append(want, f...)
			if _, err := w.Append(f); err != nil {
				t.Fatal(err)
			}
		}
		add(frame(0, 65<<10)) // more than the pipe holds
		synctest.Wait()
		for i := range 4000 {
			add(frame(i+1, 100))
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
			t.Fatal("other bytes arrived", err)
		}
		synctest.Wait()
		if n, writes := w.Stats(); n != int64(len(want)) || writes != 8 { // seven for what gathered, see maxPiece
			t.Errorf("%d bytes in %d writes", n, writes)
		}
		for i, b := range w.vec[:cap(w.vec)] {
			if b != nil {
				t.Errorf("at rest it holds on to chunk %d", i)
			}
		}
	})
}

// TestWriterHoldsNothingIdle: also after a write of one chunk.
func TestWriterHoldsNothingIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, _ := memnet.Pipe()
		w := NewWriter(near, 1<<20, 1<<19)
		defer w.Close()
		appended(t, w, frame(0, 60<<10), 60<<10)
		synctest.Wait()
		if w.vec[:1][0] != nil || w.q.Front() != nil || len(w.bufs) != 0 {
			t.Error("at rest it holds on to a chunk")
		}
	})
}

func TestWriterBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 1000, 500)
		defer w.Close()
		appended(t, w, frame(0, 400), 400)
		synctest.Wait() // being written counts
		appended(t, w, frame(1, 400), 800)
		if queued, err := w.Append(frames(100, 101)); err != ErrFull || queued != 1001 {
			t.Fatalf("a byte over the bound: %d, %v", queued, err)
		}
		if w.Queued() != 800 {
			t.Fatalf("a part of it was taken: %d queued", w.Queued())
		}
		appended(t, w, frames(100, 100), 1000)
		if _, err := w.Append(frame(9, 32)); err != ErrFull {
			t.Fatal(err)
		}
		g.let(2)
		if got, want := bytes.Join(g.written(), nil), bytes.Join([][]byte{frame(0, 400), frame(1, 400), frames(100, 100)}, nil); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes arrived, want %d", len(got), len(want))
		}
		if w.Queued() != 0 {
			t.Fatal(w.Queued(), "queued")
		}
		appended(t, w, frame(2, 1000), 1000)
		if queued, err := w.Append(frame(2, 1001)); err != ErrFull || queued != 2001 {
			t.Fatal(queued, err)
		}
	})
}

func TestWriterAppendSpans(t *testing.T) {
	buf := frames(100, 100, 100, 500, 100)
	for _, x := range []struct {
		name  string
		spans []Span
		taken int
		err   error
		want  []byte
	}{
		{"none", nil, 0, nil, nil},
		{"all", []Span{{0, 100}, {200, 300}}, 2, nil, append(frame(0, 100), frame(2, 100)...)},
		{"several frames each", []Span{{0, 200}, {300, 800}}, 2, nil, append(frames(100, 100), frame(3, 500)...)},
		{"up to the bound", []Span{{0, 900}, {0, 100}}, 2, nil, append(bytes.Clone(buf), frame(0, 100)...)},
		{"those before the bound", []Span{{300, 800}, {0, 300}, {300, 800}, {0, 100}}, 2, ErrFull, append(frame(3, 500), frames(100, 100, 100)...)},
		{"the first is too long", []Span{{0, 900}, {0, 200}}, 1, ErrFull, buf},
	} {
		t.Run(x.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				near, far := memnet.Pipe()
				w := NewWriter(near, 1000, 500)
				if taken, err := w.spans(buf, x.spans); taken != x.taken || err != x.err {
					t.Fatalf("%d, %v; want %d, %v", taken, err, x.taken, x.err)
				}
				w.Retire()
				if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, x.want) {
					t.Fatalf("%d bytes arrived, want %d, %v", len(got), len(x.want), err)
				}
			})
		})
	}
}

func TestWriterAppendSpansToFull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 1000, 500)
		defer w.Close()
		appended(t, w, frame(0, 600), 600)
		synctest.Wait()
		buf := frames(300, 300)
		if taken, err := w.spans(buf, []Span{{0, 600}}); taken != 0 || err != ErrFull || w.Queued() != 600 {
			t.Fatalf("%d, %v, %d queued", taken, err, w.Queued())
		}
		if taken, err := w.spans(buf, []Span{{0, 300}, {300, 600}}); taken != 1 || err != ErrFull || w.Queued() != 900 {
			t.Fatalf("%d, %v, %d queued", taken, err, w.Queued())
		}
		w.Fail(io.ErrNoProgress)
		if taken, err := w.spans(buf, []Span{{0, 300}}); taken != 0 || err != io.ErrNoProgress {
			t.Fatal(taken, err)
		}
	})
}

// TestWriterNeverWaits: in a bubble an Append that waited for the peer would be a deadlock.
func TestWriterNeverWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		const limit = 200 << 10
		w := NewWriter(near, limit, limit/2)
		defer w.Close()
		for range 1000 {
			queued, err := w.Append(frame(0, 1000))
			if err != nil && !errors.Is(err, ErrFull) || w.Queued() > limit || err == nil && queued > limit {
				t.Fatal(queued, w.Queued(), err)
			}
			synctest.Wait()
		}
		if w.Queued() < limit-1000 {
			t.Errorf("only %d queued", w.Queued())
		}
		far.Close()
	})
}
