package link

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// readAll reads to the end. It spoils every batch, as its owner may, before it asks for the next.
func readAll(t *testing.T, r *Reader) (got []byte, err error) {
	t.Helper()
	for {
		batch, err := r.Next()
		if err != nil {
			if len(batch) != 0 {
				t.Fatal("bytes and an error")
			}
			return got, err
		}
		if whole, need, err := wire.Scan(batch, len(batch)); whole != len(batch) || whole == 0 || need != 0 || err != nil {
			t.Fatalf("a batch of %d bytes: %d, %d, %v", len(batch), whole, need, err)
		}
		got = append(got, batch...)
		for i := range batch {
			batch[i] = 0xff
		}
	}
}

// TestReaderSplits cuts a stream at each pair of places.
func TestReaderSplits(t *testing.T) {
	want := frames(40, 32, 50)
	for i := range len(want) + 1 {
		for j := i; j <= len(want); j++ {
			pieces := slices.DeleteFunc([][]byte{want[:i], want[i:j], want[j:]}, func(p []byte) bool { return len(p) == 0 })
			r := NewReader(&script{pieces: pieces}, wire.Scan, 50)
			if got, err := readAll(t, r); err != io.EOF || !bytes.Equal(got, want) {
				t.Fatalf("cut at %d and %d: %d bytes, %v", i, j, len(got), err)
			}
			r.Free()
		}
	}
}

func TestReaderBatches(t *testing.T) {
	b := frames(40, 40, 40, 40, 40)
	s := &script{pieces: [][]byte{b[:130], b[130:]}}
	r := NewReader(s, wire.Scan, 40)
	for i, want := range [][]byte{b[:120], b[120:]} {
		if got, err := r.Next(); err != nil || !bytes.Equal(got, want) || s.reads != i+1 {
			t.Fatalf("batch %d: %d bytes after %d reads, %v", i, len(got), s.reads, err)
		}
	}
	if bytes, reads := r.Stats(); bytes != 200 || reads != 2 {
		t.Errorf("%d bytes in %d reads", bytes, reads)
	}
}

func TestReaderSizes(t *testing.T) {
	const largest = wire.MaxLength + wire.PrefixSize
	for name, sizes := range map[string][]int{
		"at the buffer's size":  {2047, 2048, 2049, 4096, 4097},
		"around the large one":  {65535, 65536, 65537, 32, 65537},
		"small and large":       {32, 300_000, 32, 32, 2000, 300_000, 100},
		"the largest there are": {32, largest, 32},
	} {
		t.Run(name, func(t *testing.T) {
			want := frames(sizes...)
			for _, chop := range []int{len(want), 70_000, 1000} {
				if len(want)/chop > 1000 {
					break // it takes long and shows no more
				}
				r := NewReader(&script{pieces: slices.Collect(slices.Chunk(want, chop))}, wire.Scan, slices.Max(sizes))
				if got, err := readAll(t, r); err != io.EOF || !bytes.Equal(got, want) {
					t.Errorf("in pieces of %d: %d bytes of %d, %v", chop, len(got), len(want), err)
				}
				r.Free()
			}
		})
	}
}

func TestReaderErrors(t *testing.T) {
	good := frames(40, 50)
	long := frame(2, 51)
	broken := errors.New("broken")
	for _, x := range []struct {
		name  string
		tail  []byte
		end   error
		want  error
		words string
	}{
		{"the end", nil, nil, io.EOF, ""},
		{"an end in a prefix", good[:3], nil, io.ErrUnexpectedEOF, ""},
		{"an end in a frame", good[:39], nil, io.ErrUnexpectedEOF, ""},
		{"a broken connection", nil, broken, broken, ""},
		{"broken in a frame", good[:10], broken, broken, ""},
		{"a frame over the maximum", long, nil, wire.ErrTooLong, "the limit is 50"},
		{"the prefix of one", long[:4], nil, wire.ErrTooLong, "the limit is 50"},
		{"the prefix of a huge one", []byte{4, 0xff, 0xff, 0xff}, nil, wire.ErrTooLong, "16777219 bytes"},
		{"a short frame", []byte{4, 0, 0, 1, 0}, nil, wire.ErrShort, "header"},
		{"garbage", []byte("garbage"), nil, wire.ErrType, "0x67"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := NewReader(&script{pieces: [][]byte{append(bytes.Clone(good), x.tail...)}, err: x.end}, wire.Scan, 50)
			got, err := readAll(t, r)
			if !bytes.Equal(got, good) {
				t.Errorf("the good frames before it: %d bytes of %d", len(got), len(good))
			}
			if !errors.Is(err, x.want) || !strings.Contains(err.Error(), x.words) {
				t.Errorf("%v, want %v that says %q", err, x.want, x.words)
			}
			if _, again := r.Next(); again == nil || again.Error() != err.Error() {
				t.Errorf("and again: %v", again)
			}
			if len(*r.buf) != 1<<minRead {
				t.Errorf("a buffer of %d bytes", len(*r.buf))
			}
			r.Free()
		})
	}
}

func TestReaderControl(t *testing.T) {
	b := append([]byte{0x40, 0, 0, 0, 0x41, 0, 0, 2, 1, 2}, 4, 0, 0, 28)
	r := NewReader(&script{pieces: [][]byte{b}}, wire.ScanControl, 100)
	if got, err := r.Next(); err != nil || !bytes.Equal(got, b[:10]) {
		t.Fatalf("%x, %v", got, err)
	}
	if _, err := r.Next(); !errors.Is(err, wire.ErrType) {
		t.Fatal(err)
	}
}

// TestReaderBuffer: it grows while reads fill it, stays within its bound, and shrinks when they bring little.
func TestReaderBuffer(t *testing.T) {
	flood := bytes.Repeat(frame(0, 100), 5000)
	s := &script{pieces: [][]byte{flood}}
	r := NewReader(s, wire.Scan, 100_000)
	if r.buf != nil {
		t.Error("it holds a buffer before the first read")
	}
	next := func() int {
		t.Helper()
		b, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		return len(b)
	}
	size, total := 0, 0
	for total < len(flood) {
		total += next()
		if n := len(*r.buf); n < size || n > 1<<topRead {
			t.Fatalf("after %d bytes: a buffer of %d, %d before", total, n, size)
		} else {
			size = n
		}
	}
	if size != 1<<topRead || !r.big.Load() {
		t.Errorf("%d bytes under load", size)
	}
	for range 20 {
		s.pieces = append(s.pieces, frame(0, 100))
		next()
	}
	if len(*r.buf) != 1<<minRead || r.big.Load() {
		t.Errorf("%d bytes for a trickle", len(*r.buf))
	}

	// A large frame gets a large buffer, and only until it has been read.
	s.pieces = append(s.pieces, frame(0, 100_000), frame(0, 100))
	if n := next(); n != 100_000 || len(*r.buf) != 128<<10 || !r.big.Load() {
		t.Errorf("%d bytes for a frame of %d", len(*r.buf), n)
	}
	if next(); len(*r.buf) > 1<<topRead {
		t.Errorf("%d bytes after it", len(*r.buf))
	}
	r.Free()
	r.Free()
	if r.buf != nil {
		t.Error("it holds a buffer after Free")
	}
}
