package link

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	over(t, func(t *testing.T, near, far net.Conn) {
		defer far.Close()
		w, r := NewWriter(near, 1<<20, 1<<19), NewReader(far, wire.Scan, 1<<20)
		defer w.Close()
		var span []byte
		var spans []Span
		for i := range 50 {
			span = append(span, frame(i, 300)...)
			spans = append(spans, Span{300 * i, 300 * (i + 1)})
		}
		for name, send := range map[string]func() (int, error){
			"a frame": func() (int, error) { return w.Append(span[:300]) },
			"a span":  func() (int, error) { return w.Append(span) },
			"spans":   func() (int, error) { return w.spans(span, spans) },
			"one by one": func() (n int, err error) {
				for _, s := range spans {
					if n, err = w.Append(span[s.From:s.To]); err != nil {
						break
					}
				}
				return n, err
			},
		} {
			want := len(span)
			if name == "a frame" {
				want = 300
			}
			n := testing.AllocsPerRun(200, func() {
				if _, err := send(); err != nil {
					t.Error(err)
				}
				for got := 0; got < want; {
					b, err := r.Next()
					if err != nil {
						t.Fatal(err)
					}
					got += len(b)
				}
			})
			if n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	})
}

// A tide is a connection that brings as much as can be read for some time, and then little.
type tide struct {
	net.Conn
	reads, at int
	b         []byte
}

func (c *tide) Read(p []byte) (int, error) {
	c.reads++
	n := min(len(p), len(c.b)-c.at)
	if c.reads%40 >= 20 {
		n = min(n, 100)
	}
	copy(p, c.b[c.at:c.at+n])
	c.at = (c.at + n) % len(c.b)
	return n, nil
}

// TestBuffersAreReused as they grow and shrink.
func TestBuffersAreReused(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	c := &tide{b: bytes.Repeat(frame(0, 90), 5000)}
	r := NewReader(c, wire.Scan, 1000)
	var sizes [maxRead + 1]int
	if n := testing.AllocsPerRun(100, func() {
		for range 40 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
			sizes[r.bufClass]++
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if sizes[minRead] == 0 || sizes[topRead] == 0 {
		t.Error("the tide is too weak:", sizes)
	}
}

// A sink takes all that is written.
type sink struct{ net.Conn }

func (sink) Write(p []byte) (int, error) { return len(p), nil }
func (sink) Close() error                { return nil }

func BenchmarkWriter(b *testing.B) {
	for _, size := range []int{40, 288, 4128} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w := NewWriter(sink{}, 1<<20, 1<<19)
			f := frame(0, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Append(f); err == ErrFull {
					w.Room(b.Context())
				}
			}
			_, writes := w.Stats()
			b.ReportMetric(float64(b.N)/float64(writes), "frames/write")
			w.Close()
		})
	}
}

// BenchmarkLink sends frames through a writer, a connection in memory and a reader.
func BenchmarkLink(b *testing.B) {
	for _, size := range []int{40, 288, 4128} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			near, far := memnet.Pipe()
			w, r := NewWriter(near, 1<<20, 1<<19), NewReader(far, wire.Scan, 1<<20)
			done := make(chan error)
			go func() {
				for {
					if _, err := r.Next(); err != nil {
						done <- err
						return
					}
				}
			}()
			f := frame(0, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for {
					if _, err := w.Append(f); err == nil {
						break
					}
					w.Room(b.Context())
				}
			}
			w.Retire()
			if err := <-done; err != io.EOF {
				b.Error(err)
			}
		})
	}
}
