package codec

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// Append appends, with room behind the slice and without.
func TestAppendIntoRoom(t *testing.T) {
	value := strings.Repeat("x", 100)
	want, err := Msgpack{}.Append(nil, value)
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{0, 1, 50, 101, 102, 103, 5000} {
		dst := slices.Grow([]byte("before"), room)[:6]
		got, err := Msgpack{}.Append(dst[:6:6+room], value)
		if err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("with room for %d: %q, %v", room, got, err)
		}
	}
}

// Into a slice with room it allocates next to nothing.
func TestAppendAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops things under the race detector")
	}
	b := make([]byte, 0, 1000)
	if n := testing.AllocsPerRun(100, func() { b, _ = Msgpack{}.Append(b[:0], 5) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
