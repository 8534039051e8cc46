package link

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
)

func TestRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 1000, 200)
		defer w.Close()
		if w.Low() != 200 {
			t.Error("low is", w.Low())
		}
		room := func() error { return w.Room(t.Context()) }
		if err := room(); err != nil {
			t.Fatal("empty:", err)
		}
		appended(t, w, frame(0, 199), 199)
		if err := room(); err != nil {
			t.Fatal("below low:", err)
		}
		appended(t, w, frame(1, 32), 231) // of which a part is being written
		first, second := async(room), async(room)
		waits(t, first)
		waits(t, second)
		g.let(1) // all, or 199 of it
		if w.Queued() > 0 {
			g.let(1)
		}
		for _, c := range []<-chan error{first, second} {
			if err := <-c; err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestRoomIsBelowLow: exactly low bytes are not below it.
func TestRoomIsBelowLow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 1000, 200)
		defer w.Close()
		appended(t, w, frame(0, 200), 200)
		room := async(func() error { return w.Room(t.Context()) })
		waits(t, room)
		g.let(1)
		if err := <-room; err != nil {
			t.Fatal(err)
		}
	})
}

// TestRoomWakesAtRoom: a write that leaves the queue above low does not wake Room.
func TestRoomWakesAtRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 1000, 200)
		defer w.Close()
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		appended(t, w, frame(1, 200), 300)
		if w.q.Size() != w.Low() {
			t.Fatal(w.q.Size(), "wait behind what is being written")
		}
		room := async(func() error { return w.Room(t.Context()) })
		g.let(1)
		waits(t, room) // the other 200 are being written
		g.let(1)
		if err := <-room; err != nil {
			t.Fatal(err)
		}
	})
}

func TestRoomObeysContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := NewWriter(newGate(), 1000, 200)
		defer w.Close()
		appended(t, w, frame(0, 500), 500)
		cause := errors.New("had enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		room := async(func() error { return w.Room(ctx) })
		waits(t, room)
		cancel(cause)
		if err := <-room; err != cause {
			t.Fatal(err)
		}
	})
}

func TestRoomLearnsOfTheEnd(t *testing.T) {
	for name, x := range map[string]struct {
		end  func(w *Writer, g *gate)
		want error
	}{
		"fail":  {func(w *Writer, g *gate) { w.Fail(io.ErrNoProgress) }, io.ErrNoProgress},
		"close": {func(w *Writer, g *gate) { w.Close() }, net.ErrClosed},
		"write": {func(w *Writer, g *gate) { g.pass <- io.ErrShortWrite }, io.ErrShortWrite},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := newGate()
				w := NewWriter(g, 1000, 200)
				appended(t, w, frame(0, 500), 500)
				room := async(func() error { return w.Room(t.Context()) })
				waits(t, room)
				x.end(w, g)
				if err := <-room; err != x.want {
					t.Fatal(err)
				}
				if err := w.Room(t.Context()); err != x.want {
					t.Fatal("afterwards:", err)
				}
			})
		})
	}
}
