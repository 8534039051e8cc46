package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// unhex reads hex digits, in which spaces only separate the fields for the eye.
func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantBytes(t *testing.T, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("got %x, want %s", got, want)
	}
}

// noAllocs checks that f allocates nothing.
func noAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}

var someHeader = Header{
	Type: Data, Port: 0xab, Hops: 0x0102,
	Dst: 0x1112131415161718, Src: 0x2122232425262728, Seq: 0x3132333435363738,
}

const someFrame = "04 00001f 0102 ab 00 1112131415161718 2122232425262728 3132333435363738 78797a"

func TestFrameLayout(t *testing.T) {
	wantBytes(t, Append(nil, someHeader, []byte("xyz")), someFrame)
	wantBytes(t, Append([]byte{0xee}, Header{Type: Close}, nil), "ee 08 00001c 0000 00 00"+strings.Repeat("00", 24))

	// Put leaves no byte of what was there before, and none behind the header.
	b := bytes.Repeat([]byte{0xff}, HeaderSize+1)
	someHeader.Put(b, 3)
	wantBytes(t, b, strings.TrimSuffix(someFrame, "78797a")+"ff")
}

func TestFrameLengthUsesThreeBytes(t *testing.T) {
	b := make([]byte, HeaderSize)
	Header{Type: Cast}.Put(b, MaxBody)
	wantBytes(t, b[:PrefixSize], "0a ffffff")
	if n := Size(b); n != HeaderSize+MaxBody {
		t.Errorf("Size = %d", n)
	}
}

func TestFrameFields(t *testing.T) {
	f := Frame(Append(nil, someHeader, []byte("xyz")))
	if got := (Header{f.Type(), f.Port(), f.Hops(), f.Dst(), f.Src(), f.Seq()}); got != someHeader {
		t.Errorf("got %+v, want %+v", got, someHeader)
	}
	if string(f.Body()) != "xyz" {
		t.Errorf("body %q", f.Body())
	}
	f.SetHops(0xfffe)
	wantBytes(t, f, strings.Replace(someFrame, "0102", "fffe", 1))
}

func TestFrameExtremes(t *testing.T) {
	for _, h := range []Header{
		{},
		{Type: nextType - 1, Port: math.MaxUint8, Hops: math.MaxUint16, Dst: math.MaxUint64, Src: math.MaxUint64, Seq: math.MaxUint64},
	} {
		f := Frame(Append(nil, h, nil))
		if got := (Header{f.Type(), f.Port(), f.Hops(), f.Dst(), f.Src(), f.Seq()}); got != h || len(f.Body()) != 0 {
			t.Errorf("got %+v, want %+v", got, h)
		}
	}
}

func TestNext(t *testing.T) {
	one, two := Append(nil, someHeader, []byte("one")), Append(nil, Header{Type: Cast}, nil)
	f, rest := Next(append(bytes.Clone(one), two...))
	if !bytes.Equal(f, one) || !bytes.Equal(rest, two) {
		t.Fatalf("got %x and %x", f, rest)
	}
	if cap(f) != len(f) {
		t.Error("an append to a frame would overwrite the next")
	}
	if f, rest = Next(rest); !bytes.Equal(f, two) || len(rest) != 0 {
		t.Fatalf("got %x and %x", f, rest)
	}
}

func TestFitAndCount(t *testing.T) {
	var b []byte
	for _, body := range []string{"", "12345", ""} { // ends at 32, 69, 101
		b = Append(b, someHeader, []byte(body))
	}
	for _, x := range []struct{ room, fit, count int }{
		{-1, 0, 0}, {0, 0, 0}, {31, 0, 0}, {32, 32, 1}, {68, 32, 1}, {69, 69, 2}, {100, 69, 2}, {101, 101, 3}, {1000, 101, 3},
	} {
		n := Fit(b, x.room)
		if n != x.fit || Count(b[:n]) != x.count {
			t.Errorf("room for %d: fit %d with %d frames, want %d with %d", x.room, n, Count(b[:n]), x.fit, x.count)
		}
	}
	if Fit(nil, 10) != 0 || Count(nil) != 0 {
		t.Error("nothing is not nothing")
	}
}

func TestControlFrame(t *testing.T) {
	b := append(AppendControl([]byte{0xee}, FirstControl+1), "xyz"...)
	if err := FinishControl(b, 1); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, b, "ee 41 000003 78797a")

	b = AppendControl(nil, 0xff)
	if err := FinishControl(b, 0); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, b, "ff 000000")

	b = append(AppendControl(nil, FirstControl), make([]byte, MaxLength+1)...)
	if err := FinishControl(b[:len(b)-1], 0); err != nil {
		t.Error(err)
	}
	wantBytes(t, b[:PrefixSize], "40 ffffff")
	if err := FinishControl(b, 0); !errors.Is(err, ErrTooLong) || !strings.Contains(err.Error(), "16777215") {
		t.Errorf("one byte too many: %v", err)
	}
}

// TestNumbers holds the constants that other languages write into their source.
func TestNumbers(t *testing.T) {
	numbers := [...]Type{
		1: Open, 2: Opened, 3: Refuse, 4: Data, 5: Sync, 6: Ack, 7: Reset, 8: Close, 9: Closed, 10: Cast, 11: Trace, 12: Traced, 13: NoRoute, 14: Ping, 15: Pong, 16: Share, 17: Shared, 18: End, 19: Farewell, 20: Violated,
	}
	if len(numbers) != len(frameTypes) {
		t.Errorf("%d numbers stand here, and there are %d rows in frameTypes", len(numbers)-1, len(frameTypes)-1)
	}
	for want, have := range numbers {
		if int(have) != want {
			t.Errorf("%v is %d, want %d", have, have, want)
		}
	}
	for typ := range 256 {
		f := Type(typ)
		if f.ConnectionOnly() != (slices.Contains([]Type{Ping, Pong, Share, Shared, End, Violated}, f) || 0x30 <= f && f <= 0x3f) {
			t.Errorf("%v never leaves its connection: %v, and it is not so here", f, f.ConnectionOnly())
		}
		if f.Refusable() != slices.Contains([]Type{Open, Data, Sync, Close, Trace}, f) {
			t.Errorf("%v is answered with NoRoute: %v, and it is not so here", f, f.Refusable())
		}
	}
	if FirstControl != 0x40 || PrefixSize != 4 || HeaderSize != 32 || MaxLength != 16777215 || MaxBody != 16777187 {
		t.Error("a size has changed")
	}
}

func TestNames(t *testing.T) {
	for want, have := range map[string]interface{ String() string }{
		"open": Open, "no-route": NoRoute, "type(0x00)": Type(0), "pong": Pong, "end": End, "farewell": Farewell, fmt.Sprintf("type(0x%02X)", uint8(nextType)): nextType, "type(0xFF)": Type(255),
		"member": RoleMember, "link": RoleLink, "probe": RoleProbe, "role 9": Role(9),
		"it holds as many incoming streams as it may": RefuseStreams, "it leaves the ring": RefuseLeaving, "it remembers a later incarnation of this node": RefuseOlder, "reason 9": RefuseReason(9),
		"no such node": NoSuchNode, "hop limit reached": HopLimit, "reason 8": NoRouteReason(8),
	} {
		if have.String() != want {
			t.Errorf("%T: %q, want %q", have, have, want)
		}
	}
}

func TestFramesDoNotAllocate(t *testing.T) {
	body := make([]byte, 100)
	b := make([]byte, 0, 3*(HeaderSize+len(body)))
	var sum uint64
	noAllocs(t, "Put", func() { someHeader.Put(b[:HeaderSize], len(body)) })
	noAllocs(t, "Append", func() {
		b = b[:0]
		for range 3 {
			b = Append(b, someHeader, body)
		}
	})
	noAllocs(t, "Scan", func() {
		if whole, _, err := Scan(b, len(b)); err != nil || whole != len(b) {
			t.Error(whole, err)
		}
	})
	noAllocs(t, "Scan of a part", func() {
		if _, need, err := Scan(b[:len(b)-1], len(b)); err != nil || need == 0 {
			t.Error(need, err)
		}
	})
	noAllocs(t, "Next and fields", func() {
		for rest := b; len(rest) > 0; {
			var f Frame
			f, rest = Next(rest)
			f.SetHops(f.Hops() + 1)
			sum += uint64(f.Type()) + uint64(f.Port()) + f.Dst() + f.Src() + f.Seq() + uint64(len(f.Body()))
		}
	})
	noAllocs(t, "Fit and Count", func() { sum += uint64(Count(b[:Fit(b, len(b)-1)])) })
	_ = sum
}

// A relay marks a detour in place, and touches no other bit.
func TestDetour(t *testing.T) {
	f := Frame(Append(nil, Header{Type: Data, Port: 0xff, Hops: 0xffff, Dst: 1<<64 - 1, Src: 2, Seq: 3}, []byte("x")))
	plain := bytes.Clone(f)
	f[offFlags] = 0xfe // bits to come stay as they are
	if f.Detour() {
		t.Error("another bit is taken for it")
	}
	f.SetDetour(true)
	if !f.Detour() || f[offFlags] != 0xff {
		t.Errorf("flags %x", f[offFlags])
	}
	f.SetDetour(false)
	if f.Detour() || f[offFlags] != 0xfe {
		t.Errorf("flags %x", f[offFlags])
	}
	f[offFlags] = 0
	if !bytes.Equal(f, plain) {
		t.Errorf("%x, want %x", f, plain)
	}
}

func TestIsBare(t *testing.T) {
	ping := Frame(Append(nil, Header{Type: Ping, Seq: 1<<64 - 2}, nil))
	if !ping.IsBare(Ping) || ping.IsBare(Pong) {
		t.Error("a ping is not taken for one")
	}
	for i := range ping[:offSeq] {
		other := Frame(bytes.Clone(ping))
		other[i]++
		if other.IsBare(Ping) {
			t.Errorf("taken for a ping although byte %d is wrong", i)
		}
	}
	if Frame(Append(nil, Header{Type: Ping}, []byte{0})).IsBare(Ping) {
		t.Error("a ping with a body")
	}
}
