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

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// A tap is what a goroutine reads to the end of a connection.
type tap struct {
	r     *Reader
	far   net.Conn
	got   []byte
	ended chan error
	hold  chan struct{} // if not nil, each batch is handled until something comes out of it
}

func newTap(hold bool) *tap {
	near, far := memnet.Pipe()
	p := &tap{r: NewReader(near, wire.Scan, 1<<20), far: far, ended: make(chan error, 1)}
	if hold {
		p.hold = make(chan struct{})
	}
	go func() {
		for {
			batch, err := p.r.Next()
			if err != nil {
				p.ended <- err
				return
			}
			p.got = append(p.got, batch...)
			if p.hold != nil {
				<-p.hold
			}
		}
	}()
	return p
}

func (p *tap) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := p.far.Write(b); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func (p *tap) trim() {
	p.r.Trim()
	synctest.Wait()
}

// end closes the connection and compares what was read.
func (p *tap) end(t *testing.T, want []byte) {
	t.Helper()
	p.far.Close()
	if err := <-p.ended; err != io.EOF {
		t.Error(err)
	}
	if !bytes.Equal(p.got, want) {
		t.Errorf("%d bytes arrived, want %d, or others", len(p.got), len(want))
	}
}

// wantBuffer is about a reader at rest.
func (p *tap) wantBuffer(t *testing.T, when string, small bool) {
	t.Helper()
	if n := len(*p.r.buf); (n == 1<<minRead) != small || p.r.big.Load() == small {
		t.Errorf("%s: a buffer of %d bytes", when, n)
	}
}

func load() []byte { return bytes.Repeat(frame(0, 100), 3000) }

func TestTrim(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newTap(false)
		want := load()
		p.send(t, want)
		p.wantBuffer(t, "under load", false)
		p.trim()
		p.wantBuffer(t, "just after it", false) // there were reads since the Trim before
		p.trim()
		p.wantBuffer(t, "when idle", true)
		p.trim()
		p.trim()
		for range 3 { // and it goes on as if nothing had been
			p.send(t, load())
			want = append(want, load()...)
			p.wantBuffer(t, "under load again", false)
			p.trim()
			p.trim()
			p.wantBuffer(t, "idle again", true)
		}
		p.end(t, want)
	})
}

// TestTrimNotWhileBusy: a read between two calls keeps the buffer.
func TestTrimNotWhileBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newTap(false)
		want := load()
		p.send(t, want)
		for range 3 {
			p.trim()
			p.send(t, frame(0, 20_000)) // no trickle, which would shrink it
			want = append(want, frame(0, 20_000)...)
			p.wantBuffer(t, "busy", false)
		}
		p.end(t, want)
	})
}

// TestTrimWithinFrame stops a frame at each of some places and trims: not a byte is lost.
func TestTrimWithinFrame(t *testing.T) {
	for _, at := range []int{1, 3, 4, 31, 2047, 2048, 2049, 30_000, 99_999} {
		bubble(t, func(t *testing.T) {
			p := newTap(false)
			f := frame(7, 100_000)
			p.send(t, append(load(), f[:at]...))
			buf := p.r.buf
			for range 4 {
				p.trim()
			}
			if p.r.buf != buf {
				t.Errorf("at %d: the buffer was exchanged in the middle of a frame", at)
			}
			p.send(t, f[at:])
			p.trim()
			p.trim()
			p.wantBuffer(t, "when idle", true)
			p.end(t, append(load(), f...))
		})
	}
}

// TestTrimWhileHandling: the reader is not in Read when it is trimmed, however often; the batch in hand stays as it is.
func TestTrimWhileHandling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newTap(true)
		want := bytes.Repeat(frame(0, 100), 20)
		large := frame(1, 60_000)
		p.send(t, want)
		p.hold <- struct{}{}
		p.send(t, large)
		for range 5 {
			p.trim()
		}
		close(p.hold)
		synctest.Wait()
		p.send(t, want)
		p.end(t, bytes.Join([][]byte{want, large, want}, nil))
	})
}

// TestTrimLeavesSmallAlone: a reader with a small buffer is not disturbed.
func TestTrimLeavesSmallAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		c := &countDeadlines{Conn: near}
		r := NewReader(c, wire.Scan, 1000)
		r.Trim()
		r.Trim()
		next := async(func() error { _, err := r.Next(); return err })
		r.Trim()
		r.Trim()
		waits(t, next)
		if c.n != 0 {
			t.Errorf("%d deadlines were set", c.n)
		}
		far.Close()
		if err := <-next; err != io.EOF {
			t.Error(err)
		}
	})
}

type countDeadlines struct {
	net.Conn
	n int
}

func (c *countDeadlines) SetReadDeadline(at time.Time) error {
	c.n++
	return c.Conn.SetReadDeadline(at)
}

// A slowDeadline connection is slow to set a deadline, like a goroutine that is not scheduled, and quick to clear one.
type slowDeadline struct {
	net.Conn
	set chan struct{} // each setting waits for one
}

func (s *slowDeadline) SetReadDeadline(at time.Time) error {
	if !at.IsZero() {
		<-s.set
	}
	return s.Conn.SetReadDeadline(at)
}

// TestTrimTwice: two calls may both come before the reader gets to see the first; a deadline that the second left
// behind would end the connection.
func TestTrimTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		s := &slowDeadline{Conn: near, set: make(chan struct{})}
		r := NewReader(s, wire.Scan, 100_000)
		hold := make(chan struct{})
		ended := async(func() error {
			for {
				if _, err := r.Next(); err != nil {
					return err
				}
				<-hold
			}
		})
		if _, err := far.Write(frame(0, 60_000)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the frame is in hand
		r.Trim()
		trim := async(func() bool { r.Trim(); return true })
		s.set <- struct{}{} // the first deadline is there
		<-trim
		trim = async(func() bool { r.Trim(); return true }) // the second is on its way …
		hold <- struct{}{}                                  // … when the reader finds the first
		synctest.Wait()
		close(s.set)
		<-trim
		waits(t, ended)
		far.Close()
		if err := <-ended; err != io.EOF {
			t.Error(err)
		}
	})
}

// TestTimeoutOfOthers: a deadline that Trim did not set is an error; the reader can go on after it.
func TestTimeoutOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		r := NewReader(near, wire.Scan, 1000)
		f := frame(0, 100)
		far.Write(f[:50])
		near.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := r.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		near.SetReadDeadline(time.Now().Add(time.Second))
		far.Write(f[50:])
		if got, err := r.Next(); err != nil || !bytes.Equal(got, f) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}
