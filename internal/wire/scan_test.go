package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestScan(t *testing.T) {
	const max = 40
	small := Append(nil, Header{Type: Data}, nil)                // 32 bytes
	large := Append(nil, Header{Type: NoRoute}, make([]byte, 8)) // 40, the maximum
	prefix := func(typ Type, length int) []byte {
		return []byte{byte(typ), byte(length >> 16), byte(length >> 8), byte(length)}
	}
	for _, x := range []struct {
		name        string
		b           [][]byte
		whole, need int
		err         error
	}{
		{"nothing", nil, 0, 0, nil},
		{"three bytes of a prefix", [][]byte{small[:3]}, 0, 0, nil},
		{"a prefix alone", [][]byte{small[:4]}, 0, 32, nil},
		{"all but a byte", [][]byte{small[:31]}, 0, 32, nil},
		{"one", [][]byte{small}, 32, 0, nil},
		{"one of the maximum size", [][]byte{large}, 40, 0, nil},
		{"two", [][]byte{small, large}, 72, 0, nil},
		{"two and three bytes", [][]byte{small, large, large[:3]}, 72, 0, nil},
		{"two and a half", [][]byte{large, small, large[:20]}, 72, 40, nil},
		{"a byte over the maximum", [][]byte{prefix(Data, 37)}, 0, 0, ErrTooLong},
		{"as long as can be", [][]byte{small, prefix(Data, MaxLength)}, 32, 0, ErrTooLong},
		{"no length", [][]byte{prefix(Data, 0)}, 0, 0, ErrShort},
		{"a byte under the header", [][]byte{small, prefix(Data, 27), make([]byte, 27)}, 32, 0, ErrShort},
		{"type 0", [][]byte{prefix(0, 28)}, 0, 0, ErrType},
		{"a type to come", [][]byte{prefix(nextType, 28)}, 0, 0, ErrType},
		{"a control frame", [][]byte{small, large, prefix(FirstControl, 28)}, 72, 0, ErrType},
		{"text", [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n")}, 0, 0, ErrType},
	} {
		t.Run(x.name, func(t *testing.T) {
			whole, need, err := Scan(bytes.Join(x.b, nil), max)
			if whole != x.whole || need != x.need || !errors.Is(err, x.err) {
				t.Errorf("got %d, %d, %v; want %d, %d, %v", whole, need, err, x.whole, x.need, x.err)
			}
		})
	}
}

func TestScanControl(t *testing.T) {
	for _, x := range []struct {
		b           string
		whole, need int
		err         error
	}{
		{"40 000000", 4, 0, nil}, // an empty body is fine here
		{"40 000000 ff 000002 1122 41 0000", 10, 0, nil},
		{"40 000000 41 000004 11", 4, 8, nil},
		{"41 000005", 0, 0, ErrTooLong},
		{"3f 000000", 0, 0, ErrType},
		{"04 000000", 0, 0, ErrType},
	} {
		whole, need, err := ScanControl(unhex(t, x.b), 8)
		if whole != x.whole || need != x.need || !errors.Is(err, x.err) {
			t.Errorf("%s: got %d, %d, %v; want %d, %d, %v", x.b, whole, need, err, x.whole, x.need, x.err)
		}
	}
}

// TestScanErrorsSpeak: the log of a closed connection has the numbers.
func TestScanErrorsSpeak(t *testing.T) {
	for _, x := range []struct{ b, words string }{
		{"04 000025", "data frame of 41 bytes, the limit is 40"},
		{"06 000001", "ack frame of 5 bytes, the header alone is 32"},
		{"15 000001", "type 0x15"},
	} {
		if _, _, err := Scan(unhex(t, x.b), 40); err == nil || !strings.Contains(err.Error(), x.words) {
			t.Errorf("%v does not say %q", err, x.words)
		}
	}
}

// TestScanGrowing feeds a stream byte by byte: the whole frames at a point do not depend on what follows.
func TestScanGrowing(t *testing.T) {
	var b []byte
	ends := map[int]bool{}
	for n := range 5 {
		b = Append(b, Header{Type: Cast}, make([]byte, 7*n))
		ends[len(b)] = true
	}
	whole := 0
	for n := range len(b) + 1 {
		if ends[n] {
			whole = n
		}
		got, need, err := Scan(b[:n], 100)
		if got != whole || err != nil {
			t.Fatalf("%d bytes: %d, %v; want %d", n, got, err, whole)
		}
		if n-whole < PrefixSize && need != 0 || n-whole >= PrefixSize && !ends[whole+need] {
			t.Fatalf("%d bytes: need %d behind %d", n, need, whole)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte{}, uint32(0), false)
	f.Add(Append(Append(nil, someHeader, []byte("xyz")), Header{Type: Ack}, nil), uint32(64), false)
	f.Add([]byte{0x40, 0, 0, 2, 1, 2, 0x41, 0, 0, 9}, uint32(64), true)
	f.Fuzz(func(t *testing.T, b []byte, limit uint32, control bool) {
		max := int(limit % (2 * MaxLength))
		scan, isType, min := Scan, func(t byte) bool { return t >= 1 && t < byte(nextType) || 0x20 <= t && t < 0x40 }, 32
		if control {
			scan, isType, min = ScanControl, func(t byte) bool { return t >= 0x40 }, 4
		}
		before := bytes.Clone(b)
		whole, need, err := scan(b, max)
		if !bytes.Equal(b, before) {
			t.Fatal("it wrote")
		}
		// The same in the simplest way.
		wantWhole, wantNeed, bad := 0, 0, false
		for p := b; len(p) >= 4; {
			size := 4 + int(p[1])<<16 + int(p[2])<<8 + int(p[3])
			if bad = !isType(p[0]) || size > max || size < min; bad {
				break
			}
			if size > len(p) {
				wantNeed = size
				break
			}
			wantWhole, p = wantWhole+size, p[size:]
		}
		if whole != wantWhole || need != wantNeed || (err != nil) != bad {
			t.Fatalf("got %d, %d, %v; want %d, %d, an error: %v", whole, need, err, wantWhole, wantNeed, bad)
		}
		if !control {
			first, needFirst, errFirst := ScanFirst(b, max)
			wantFirst := 0
			if whole > 0 {
				wantFirst, need, err = Size(b), 0, nil
			}
			if first != wantFirst || needFirst != need || (errFirst != nil) != (err != nil) || Whole(b, max) != wantFirst {
				t.Fatalf("the first of %x is %d, %d, %v, want %d", b, first, needFirst, errFirst, wantFirst)
			}
		}
		if err != nil && !errors.Is(err, ErrType) && !errors.Is(err, ErrTooLong) && !errors.Is(err, ErrShort) {
			t.Fatal("an error of no kind:", err)
		}
		n, messages := 0, 0
		for rest := b[:whole]; len(rest) > 0; n++ {
			var f Frame
			if f, rest = Next(rest); len(f) > max {
				t.Fatal("a frame over the maximum")
			}
			if !control { // every accessor must be safe on what Scan let through
				_ = fmt.Sprint(f.Type(), f.Hops(), f.Port(), f.Dst(), f.Src(), f.Seq(), len(f.Body()), f.Bundles())
				messages += f.Messages()
				walkAll(t, f)
			}
		}
		if !control && Count(b[:whole]) != messages || Fit(b[:whole], whole) != whole {
			t.Fatalf("%d frames with %d messages", n, messages)
		}
	})
}
