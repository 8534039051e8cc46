package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// bundle joins bodies, in the way of package stream.
func bundle(port uint8, seq uint64, bodies ...[]byte) Frame {
	f := Frame(Append(nil, Header{Type: Data, Port: port, Dst: 2, Src: 1, Seq: seq}, bodies[0]))
	for i, body := range bodies[1:] {
		f = append(f, make([]byte, Bundling(i+1, len(body)))...)
		Bundle(f, i+1, body)
	}
	return f
}

// walkAll walks a frame that came from outside, and checks the walk.
func walkAll(t *testing.T, f Frame) {
	t.Helper()
	if f.Messages() < 1 {
		t.Fatalf("%d messages in %x", f.Messages(), f)
	}
	if !f.Sound() {
		return
	}
	n := 0
	for w := Walk(f); w.Next(); n++ {
		if len(w.Body) > len(f)-HeaderSize {
			t.Fatalf("a body of %d bytes in a frame of %d", len(w.Body), len(f))
		}
	}
	if n != f.Messages() {
		t.Fatalf("%d messages in a frame that says %d", n, f.Messages())
	}
}

// A bundle has the bytes that PROTOCOL.md shows.
func TestBundle(t *testing.T) {
	text, err := os.ReadFile("../../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("have the body\\s`([0-9a-f ]+)`").FindSubmatch(text)
	if shown == nil {
		t.Fatal("PROTOCOL.md shows no bundle")
	}
	body, err := hex.DecodeString(strings.ReplaceAll(string(shown[1]), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	f := bundle(7, 100, []byte("ab"), nil, []byte("c"))
	want := Append(nil, Header{Type: Data, Port: 7, Dst: 2, Src: 1, Seq: 100}, body)
	want[offFlags] = flagBundle
	if !bytes.Equal(f, want) || f.Messages() != 3 || !f.Sound() || Count(f) != 3 {
		t.Errorf("%x, want %x", f, want)
	}
	if one := bundle(7, 100, []byte("ab")); one.isBundle() || one.Messages() != 1 || !one.Sound() {
		t.Error("a single message is a plain frame:", one)
	}
}

// What was joined is walked, in order, across frames of all kinds.
func TestWalk(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var b []byte
		var bodies [][]byte
		var ports []uint8
		var ends []int // of the messages, in b
		for range 1 + rng.IntN(4) {
			var of [][]byte
			port := uint8(rng.IntN(2))
			for range 1 + rng.IntN(5) {
				of = append(of, bytes.Repeat([]byte{byte(len(bodies) + len(of))}, rng.IntN(40)))
				ports = append(ports, port)
			}
			bodies = append(bodies, of...)
			b = append(b, bundle(port, 1, of...)...)
			end := len(b)
			for _, body := range of {
				end -= lengthSize + len(body)
			}
			for _, body := range of {
				end += lengthSize + len(body)
				ends = append(ends, end)
			}
		}
		w, i := Walk(b), 0
		for ; w.Next(); i++ {
			if !bytes.Equal(w.Body, bodies[i]) || w.Frame.Port() != ports[i] || cap(w.Body) > len(w.Body) {
				t.Fatalf("message %d is %q on port %d, with room for %d", i, w.Body, w.Frame.Port(), cap(w.Body))
			}
			if w.Left() != len(b)-ends[i] {
				t.Fatalf("%d bytes are left behind message %d, want %d", w.Left(), i, len(b)-ends[i])
			}
			if same := i+1 < len(ports) && ports[i+1] == ports[i]; w.SamePort() != same {
				t.Fatalf("behind message %d: SamePort is %v", i, !same)
			}
		}
		if i != len(bodies) || w.Left() != 0 || Count(b) != i {
			t.Fatalf("%d of %d messages, %d bytes left", i, len(bodies), w.Left())
		}
	}
}

// A bundle whose count or lengths are not those of its bytes is not sound, and counts as few messages.
func TestUnsoundBundles(t *testing.T) {
	sound := bundle(0, 1, []byte("ab"), []byte("c"))
	for name, spoil := range map[string]func(f Frame) Frame{
		"no count":            func(f Frame) Frame { return resize(f, HeaderSize+1) },
		"empty":               func(f Frame) Frame { return resize(f, HeaderSize) },
		"count of 0":          func(f Frame) Frame { f[HeaderSize+1] = 0; return f },
		"0, and nothing":      func(f Frame) Frame { f[HeaderSize+1] = 0; return resize(f, bundleAt) },
		"one too many":        func(f Frame) Frame { f[HeaderSize+1] = 3; return f },
		"one too few":         func(f Frame) Frame { f[HeaderSize+1] = 1; return f },
		"no room for so many": func(f Frame) Frame { f[HeaderSize] = 255; return f },
		"a length too long":   func(f Frame) Frame { f[bundleAt+1] = 200; return f },
		"a length too short":  func(f Frame) Frame { f[bundleAt+1] = 1; return f },
		"cut short":           func(f Frame) Frame { return resize(f, len(f)-1) },
		"a byte behind":       func(f Frame) Frame { return resize(append(f, 0), len(f)+1) },
	} {
		f := spoil(slices.Clone(sound))
		if f.Sound() {
			t.Errorf("%s: %x is sound", name, f)
		}
		if n := f.Messages(); n < 1 || n > 3 {
			t.Errorf("%s: counts as %d messages", name, n)
		}
	}
	for name, f := range map[string]Frame{"cast": Append(nil, Header{Type: Cast}, nil), "opened": Append(nil, Header{Type: Opened}, nil)} {
		f.SetBundle()
		if !f.Sound() || f.Messages() != 1 {
			t.Error("the flag means something in an", name)
		}
	}
}

// resize sets the length of a frame.
func resize(f Frame, n int) Frame {
	f = f[:n]
	binary.BigEndian.PutUint32(f, uint32(f[0])<<24|uint32(n-PrefixSize))
	return f
}
