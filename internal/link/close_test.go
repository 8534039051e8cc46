package link

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/memnet"
)

// wantEnd checks that the writer has ended: the error is the one that ended it, nothing is queued or taken any more, and the
// connection was closed, once.
func wantEnd(t *testing.T, w *Writer, g *gate, want error) {
	t.Helper()
	synctest.Wait()
	if _, err := w.Append(frame(0, 32)); !errors.Is(err, want) {
		t.Errorf("Append: %v, want %v", err, want)
	}
	if _, err := w.spans(frame(0, 32), []Span{{0, 32}}); !errors.Is(err, want) {
		t.Errorf("AppendSpans: %v, want %v", err, want)
	}
	if err := w.Room(t.Context()); !errors.Is(err, want) {
		t.Errorf("Room: %v, want %v", err, want)
	}
	if w.Queued() != 0 {
		t.Errorf("%d queued", w.Queued())
	}
	if g != nil && g.closes != 1 {
		t.Errorf("closed %d times", g.closes)
	}
}

func TestRetireIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 1000, 500)
		w.Retire()
		wantEnd(t, w, g, net.ErrClosed)
		w.Retire()
		w.Close()
		wantEnd(t, w, g, net.ErrClosed)
	})
}

func TestRetireWritesWhatIsQueued(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 1000, 500)
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		appended(t, w, frame(1, 100), 200)
		w.Retire() // does not wait
		appended(t, w, frame(2, 100), 300)
		g.let(1)
		if g.isClosed() {
			t.Fatal("closed with frames queued")
		}
		appended(t, w, frame(3, 100), 300) // frames 1 and 2 are being written
		g.let(2)
		if got := bytes.Join(g.written(), nil); !bytes.Equal(got, frames(100, 100, 100, 100)) {
			t.Errorf("%d bytes arrived", len(got))
		}
		wantEnd(t, w, g, net.ErrClosed)
	})
}

func TestFail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 1000, 500)
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		appended(t, w, frame(1, 100), 200)
		gone := errors.New("gone")
		w.Fail(gone)
		wantEnd(t, w, g, gone)
		w.Fail(io.ErrNoProgress) // the first counts
		w.Retire()
		w.Close()
		wantEnd(t, w, g, gone)
		if len(g.written()) != 0 {
			t.Error("it wrote")
		}
	})
}

func TestWriteError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		w := NewWriter(g, 1000, 500)
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		appended(t, w, frame(1, 100), 200)
		g.pass <- io.ErrShortWrite
		wantEnd(t, w, g, io.ErrShortWrite)
		w.Close()
	})
}

// TestWriteErrorEndsReads: the reader of the connection notices a failed write.
func TestWriteErrorEndsReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		r, w := NewReader(near, nil, 0), NewWriter(near, 1<<20, 1)
		read := async(func() error { _, err := r.Next(); return err })
		near.SetWriteDeadline(time.Now().Add(time.Second))
		appended(t, w, frame(0, 100<<10), 100<<10)
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		wantEnd(t, w, nil, os.ErrDeadlineExceeded)
		far.Close()
	})
}

func TestCloseDropsAndWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		g.slow = make(chan struct{})
		w := NewWriter(g, 1000, 500)
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		appended(t, w, frame(1, 100), 200)
		first := async(func() bool { w.Close(); return true })
		second := async(func() bool { w.Close(); return true })
		waits(t, first)
		waits(t, second) // it waits as the first does
		// A slow Close of the connection must not hold up appenders.
		if _, err := w.Append(frame(2, 100)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if w.Queued() != 0 {
			t.Error(w.Queued(), "queued")
		}
		close(g.slow)
		<-first
		<-second
		w.Close()
		if len(g.written()) != 0 {
			t.Error("it wrote")
		}
		wantEnd(t, w, g, net.ErrClosed)
	})
}

// A sticky connection comes back from Write only some time after it was closed.
type sticky struct {
	*gate
	left chan struct{}
}

func (s sticky) Write(p []byte) (int, error) {
	n, err := s.gate.Write(p)
	<-s.left
	return n, err
}

func TestCloseWaitsForTheGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := sticky{newGate(), make(chan struct{})}
		w := NewWriter(s, 1000, 500)
		appended(t, w, frame(0, 100), 100)
		synctest.Wait()
		closing := async(func() bool { w.Close(); return true })
		waits(t, closing)
		if !s.isClosed() {
			t.Error("the connection is not closed yet")
		}
		close(s.left)
		<-closing
	})
}

func TestShutdown(t *testing.T) {
	for name, x := range map[string]struct {
		read  bool
		takes time.Duration
	}{
		"peer reads":     {true, 0},
		"peer is stuck":  {false, 3 * time.Second},
		"nothing queued": {true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				near, far := memnet.Pipe()
				defer far.Close()
				w := NewWriter(near, 1<<20, 1<<19)
				want := frame(0, 300<<10)
				if name == "nothing queued" {
					want = nil
				} else {
					appended(t, w, want, len(want))
				}
				var got <-chan []byte
				if x.read {
					got = async(func() []byte { b, _ := io.ReadAll(far); return b })
				}
				start := time.Now()
				w.Shutdown(3 * time.Second)
				if took := time.Since(start); took != x.takes {
					t.Errorf("took %v, want %v", took, x.takes)
				}
				if x.read && !bytes.Equal(<-got, want) {
					t.Error("other bytes arrived")
				}
				if _, err := near.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
					t.Error("the connection is open:", err)
				}
				w.Shutdown(time.Second)
				w.Close()
			})
		})
	}
}

// undated is a connection that takes no deadlines.
type undated struct{ net.Conn }

var errUndated = errors.New("no deadlines")

func (undated) SetReadDeadline(time.Time) error  { return errUndated }
func (undated) SetWriteDeadline(time.Time) error { return errUndated }

// A connection that takes no deadline ends at once: its writer must not wait for a peer that
// does not read.
func TestEndWithoutDeadlines(t *testing.T) {
	for name, end := range map[string]func(*Writer){
		"Shutdown":     func(w *Writer) { w.Shutdown(time.Hour) },
		"RetireWithin": func(w *Writer) { w.RetireWithin(time.Hour) },
		"Finish":       func(w *Writer) { w.Finish(frame(1, 32), time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe() // which holds nothing: the writer waits
			defer far.Close()
			w := NewWriter(undated{near}, 1000, 500)
			appended(t, w, frame(0, 100), 100)
			end(w)
			w.wg.Wait()
			if _, err := w.Append(frame(0, 32)); !errors.Is(err, errUndated) {
				t.Error(err)
			}
		})
	}
}
