package link

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

func bodies(b ...string) (bodies [][]byte) {
	for _, s := range b {
		bodies = append(bodies, []byte(s))
	}
	return bodies
}

// Frames made in place equal those appended whole. They are counted, also where the first
// finds no room.
func TestAppendFrames(t *testing.T) {
	near, far := memnet.Pipe()
	defer far.Close()
	const limit = 300
	w := NewWriter(near, limit, limit)
	h := wire.Header{Type: wire.Cast, Port: 3, Dst: 4, Src: 5, Seq: 6}
	want := wire.Append(nil, h, []byte("straight"))
	want = wire.Append(want, h, nil)
	detour := len(want)
	want = wire.Append(want, h, []byte("around"))
	wire.Frame(want[detour:]).SetDetour(true)
	if taken, _, _, err := w.AppendFrames(h, false, bodies("straight", "")); taken != 2 || err != nil {
		t.Fatal(taken, err)
	}
	if taken, _, _, err := w.AppendFrames(h, true, bodies("around")); taken != 1 || err != nil {
		t.Fatal(taken, err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	w.wg.Wait()
	if p := w.Progress(); p.Total != int64(len(want)) || p.Done != p.Total || p.Queued != 0 {
		t.Errorf("%+v, want %d bytes in all", p, len(want))
	}
	if mark, err := w.AppendMarked(want); mark != int64(2*len(want)) || err != nil {
		t.Errorf("the mark is %d, %v", mark, err)
	}
	if taken, _, due, err := w.AppendFrames(h, false, [][]byte{make([]byte, limit), nil}); taken != 0 || due || !errors.Is(err, ErrFull) {
		t.Error(taken, due, err)
	}
	w.Close()
	if taken, _, _, err := w.AppendFrames(h, false, bodies("")); taken != 0 || !errors.Is(err, net.ErrClosed) {
		t.Error(taken, err)
	}
	if n := w.Frames(); n != 4 {
		t.Errorf("%d frames counted, want 4", n)
	}
}

// One call takes no more frames than there is room for, and than a caller would append that
// waits for room after each.
func TestAppendFramesStops(t *testing.T) {
	for _, c := range []struct{ limit, low, size, taken int }{
		{1000, 250, 100, 3}, {1000, 0, 100, 1}, {399, 1000, 100, 3}, {1 << 20, 1 << 20, 33 << 10, 2},
	} {
		bubble(t, func(t *testing.T) {
			near, far := memnet.Pipe()
			defer far.Close()
			w := NewWriter(near, c.limit, c.low)
			defer w.Close()
			body := make([]byte, c.size-wire.HeaderSize)
			taken, queued, _, err := w.AppendFrames(wire.Header{Type: wire.Cast}, false, [][]byte{body, body, body, body})
			if taken != c.taken || queued != c.size*taken || err != nil || w.Frames() != int64(taken) {
				t.Errorf("%+v: %d taken, %d bytes queued, %v, %d counted", c, taken, queued, err, w.Frames())
			}
		})
	}
}
