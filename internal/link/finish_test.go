package link

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// Finish writes its frames behind all queued ones, once. Then only urgent frames are taken,
// and the connection stands.
func TestFinish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		w := NewWriter(near, 1<<20, 1<<10)
		defer w.Close()
		var want []byte
		for i := range 1000 { // more than the connection holds
			want = append(want, frame(i, 100)...)
		}
		appended(t, w, want, len(want))
		end, late := frame(1001, 32), frame(1000, 100)
		w.Finish(end, time.Minute)
		w.Finish(end, time.Minute)
		if _, err := w.Append(late); err != nil {
			t.Error("it has not written the end yet:", err)
		}
		want = append(append(want, late...), end...)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		synctest.Wait()
		time.Sleep(2 * time.Minute) // the deadline was for that
		if _, err := w.Append(late); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, _, _, err := w.AppendFrames(wire.Header{Type: wire.Cast}, false, bodies("late")); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, _, _, err := w.AppendSpans(late, []Span{{0, 100}}); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := w.Enlist(nil); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		total := w.Progress().Total
		if err := w.Urgent(end); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(far, got[:32]); err != nil || !bytes.Equal(got[:32], end) {
			t.Errorf("%q, %v", got[:32], err)
		}
		if w.Err() != nil || w.Progress().Total != total {
			t.Error("it has ended, or what is urgent counts:", w.Err())
		}
		w.Retire()
		if n, err := far.Read(got); err != io.EOF {
			t.Error(n, err)
		}
		if err := w.Urgent(end); err == nil {
			t.Error("taken though the connection has ended")
		}
	})
}

// A Finish that cannot write in time ends the connection.
func TestFinishEndsInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		w := NewWriter(near, 1<<20, 1<<10)
		defer w.Close()
		for i := range 1000 {
			w.Append(frame(i, 100))
		}
		w.Finish(frame(0, 32), time.Minute)
		time.Sleep(2 * time.Minute)
		if w.Err() == nil {
			t.Error("it stands")
		}
		far.Close()
	})
}

// Urgent frames overtake the queue, between two writes, and are bounded.
func TestUrgent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		w := NewWriter(near, 4<<20, 1<<10)
		defer w.Close()
		const each, queued = 100, 20 << 10
		w.Append(bytes.Repeat(frame(0, each), queued)) // at once: the first write has as much as it may
		synctest.Wait()                                // it is stuck in its first write
		var all []byte
		for i := range maxUrgent / 32 {
			f := frame(1+i, 32)
			all = append(all, f...)
			if err := w.Urgent(f); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Urgent(frame(0, 32)); err != ErrFull {
			t.Error(err)
		}
		got := make([]byte, queued*each+maxUrgent)
		if _, err := io.ReadFull(far, got); err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(got, all); at <= 0 || at > maxWrite || at%each != 0 {
			t.Error("it came at", at)
		}
	})
}
