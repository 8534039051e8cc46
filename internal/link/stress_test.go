package link

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// over runs a test over memory and over TCP.
func over(t *testing.T, f func(t *testing.T, near, far net.Conn)) {
	t.Run("memory", func(t *testing.T) {
		near, far := memnet.Pipe()
		f(t, near, far)
	})
	t.Run("tcp", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		near, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		f(t, near, far)
	})
}

// TestHammer sends from many goroutines in every way there is, while the reader is told to trim as often as can be: each
// frame arrives once, whole, and in the order of its source.
func TestHammer(t *testing.T) {
	over(t, func(t *testing.T, near, far net.Conn) {
		const sources, each = 8, 500
		seed := rand.Uint64()
		w := NewWriter(near, 64<<10, 16<<10)
		r := NewReader(far, wire.Scan, 20<<10)
		var wg, helpers sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for src := range sources {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, uint64(src)))
				for sent := 0; sent < each; {
					n := min(1+rnd.IntN(5), each-sent)
					var buf []byte
					var spans []Span
					for i := range n {
						at := len(buf)
						buf = wire.Append(buf, wire.Header{Type: wire.Data, Src: uint64(src), Seq: uint64(sent + i)}, make([]byte, rnd.IntN(1<<rnd.IntN(14))))
						spans = append(spans, Span{at, len(buf)})
					}
					taken, err := n, error(nil)
					if rnd.IntN(2) == 0 {
						taken, err = w.spans(buf, spans)
					} else if _, err = w.Append(buf); err != nil {
						taken = 0
					}
					sent += taken
					if errors.Is(err, ErrFull) {
						err = w.Room(ctx)
					}
					if err != nil {
						t.Error("seed", seed, err)
						return
					}
				}
			})
		}
		helpers.Go(func() {
			for ctx.Err() == nil {
				r.Trim()
				w.Queued()
				w.Stats()
				r.Stats()
			}
		})
		helpers.Go(func() {
			wg.Wait()
			w.Retire()
		})
		var next [sources]uint64
		total := 0
		for {
			batch, err := r.Next()
			if err != nil {
				if err != io.EOF {
					t.Error("seed", seed, err)
				}
				break
			}
			total += len(batch)
			for len(batch) > 0 {
				var f wire.Frame
				f, batch = wire.Next(batch)
				if f.Src() >= sources || f.Seq() != next[f.Src()] {
					t.Fatalf("seed %d: frame %d of source %d", seed, f.Seq(), f.Src())
				}
				next[f.Src()]++
			}
		}
		cancel()
		helpers.Wait()
		w.Close()
		for src, n := range next {
			if n != each {
				t.Errorf("seed %d: %d frames of source %d", seed, n, src)
			}
		}
		out, writes := w.Stats()
		in, reads := r.Stats()
		if out != in || in != int64(total) || writes == 0 || reads == 0 {
			t.Errorf("%d bytes out in %d writes, %d in by %d reads, %d handed over", out, writes, in, reads, total)
		}
		r.Free()
		far.Close()
	})
}

// TestHammerEnds ends a busy writer in every way at once.
func TestHammerEnds(t *testing.T) {
	for range 20 {
		near, far := memnet.Pipe()
		w := NewWriter(near, 8<<10, 4<<10)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					_, err := w.Append(frame(0, 200))
					if errors.Is(err, ErrFull) {
						err = w.Room(t.Context())
					}
					if err != nil {
						return
					}
				}
			})
		}
		wg.Go(func() {
			buf := make([]byte, 1000)
			for range 50 {
				if _, err := far.Read(buf); err != nil {
					break
				}
			}
			for _, end := range []func(){w.Retire, w.Close, w.Close, func() { w.Fail(io.EOF) }, func() { w.Shutdown(0) }} {
				wg.Go(end)
			}
		})
		wg.Wait()
		if w.Queued() != 0 {
			t.Fatal(w.Queued(), "queued")
		}
		far.Close()
	}
}
