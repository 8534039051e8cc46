package link

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/memnet"
)

// The last word follows the write under way, goes ahead of what is queued, and is followed by the
// end. What was queued is left.
func TestFailWith(t *testing.T) {
	broken := errors.New("broken")
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		w := NewWriter(near, 1<<20, 1<<20)
		w.KeepLeftover()
		w.FailWith(broken, frame(9, 40), time.Second)
		if b, err := io.ReadAll(far); err != nil || string(b) != string(frame(9, 40)) {
			t.Errorf("%x, %v", b, err)
		}
		w.FailWith(io.EOF, frame(9, 40), time.Second) // it has ended
		if err := w.Err(); err != broken {
			t.Error(err)
		}
		w.Close()
	})
}

// A peer that does not read delays the end for no longer than the limit.
func TestFailWithIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		w := NewWriter(near, 1<<30, 1<<20)
		w.KeepLeftover()
		for range 64 {
			w.Append(frame(1, 1<<20))
		}
		synctest.Wait()
		w.Append(frame(2, 100))
		began := time.Now()
		w.FailWith(io.EOF, frame(9, 40), time.Second)
		if took := time.Since(began); took < time.Second || took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		left := w.Leftover()
		if left.Size() < 100 {
			t.Errorf("%d bytes are left", left.Size())
		}
		left.Clear()
		w.Close()
		far.Close()
	})
}
