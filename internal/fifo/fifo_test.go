package fifo

import (
	"bytes"
	"slices"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// frame returns one of so many bytes.
func frame(size int) []byte {
	return wire.Append(nil, wire.Header{Type: wire.Data}, bytes.Repeat([]byte{0xaa}, size-wire.HeaderSize))
}

// held is the size of each chunk, and what it has room for.
func held(q *Queue) (lens, caps []int) {
	for c := q.head; c != nil; c = c.next {
		lens, caps = append(lens, len(c.buf)-c.read), append(caps, cap(c.buf))
	}
	return lens, caps
}

// TestChunkSizes: the frames of one Append go into chunks of the smallest size that holds them, up to 64 KiB unless one
// frame is longer.
func TestChunkSizes(t *testing.T) {
	const kib = 1 << 10
	for _, x := range []struct {
		name       string
		spans      [][]int // sizes of frames, by Append
		lens, caps []int
	}{
		{"small", [][]int{{100}}, []int{100}, []int{kib}},
		{"a whole chunk", [][]int{{kib}}, []int{kib}, []int{kib}},
		{"a byte more", [][]int{{kib + 1}}, []int{kib + 1}, []int{2 * kib}},
		{"a span takes one", [][]int{{1000, 1000, 1000}}, []int{3000}, []int{4 * kib}},
		{"the room is used first", [][]int{{500}, {400, 400}}, []int{900, 400}, []int{kib, kib}},
		{"no frame is split", [][]int{{500}, {600}}, []int{500, 600}, []int{kib, kib}},
		{"as much again", [][]int{{5000}, {4000}, {100}}, []int{5000, 4100}, []int{8 * kib, 8 * kib}},
		{"64 KiB", [][]int{{40 * kib, 24 * kib}}, []int{64 * kib}, []int{64 * kib}},
		{"a long span", [][]int{{40 * kib, 24 * kib, 100}}, []int{64 * kib, 100}, []int{64 * kib, 64 * kib}},
		{"a long span of odd sizes", [][]int{{40 * kib, 30 * kib, 20 * kib}}, []int{40 * kib, 50 * kib}, []int{64 * kib, 64 * kib}},
		{"a large frame", [][]int{{64*kib + 1}}, []int{64*kib + 1}, []int{128 * kib}},
		{"large in the middle", [][]int{{100, 200 * kib, 100}}, []int{100, 200*kib + 100}, []int{kib, 256 * kib}},
		{"large after small", [][]int{{100}, {200 * kib}}, []int{100, 200 * kib}, []int{kib, 256 * kib}},
		{"the largest", [][]int{{wire.MaxLength + wire.PrefixSize}}, []int{16<<20 + 3}, []int{32 << 20}},
	} {
		t.Run(x.name, func(t *testing.T) {
			var q Queue
			defer q.Clear()
			for _, sizes := range x.spans {
				var span []byte
				for _, n := range sizes {
					span = append(span, frame(n)...)
				}
				q.Append(span)
			}
			if lens, caps := held(&q); !slices.Equal(lens, x.lens) || !slices.Equal(caps, x.caps) {
				t.Errorf("got %v of %v, want %v of %v", lens, caps, x.lens, x.caps)
			}
		})
	}
}

func TestReserveKeepsApart(t *testing.T) {
	var q Queue
	a, b := q.Reserve(40), q.Reserve(40)
	if len(a) != 40 || cap(a) != 40 {
		t.Fatalf("len %d, cap %d", len(a), cap(a))
	}
	copy(b, frame(40))
	copy(a, frame(40))
	if !bytes.Equal(q.Front(), append(frame(40), frame(40)...)) {
		t.Error("what was filled in is not what is queued")
	}
}

// TestReservedStays: later appends must not move bytes that the caller may still use.
func TestReservedStays(t *testing.T) {
	var q Queue
	first := q.Reserve(40)
	copy(first, frame(40))
	for range 100 {
		q.Append(frame(5000))
	}
	first[39] = 0x55
	if q.Front()[39] != 0x55 {
		t.Error("it was moved")
	}
}

func TestEmptyHoldsNothing(t *testing.T) {
	for name, empty := range map[string]func(q *Queue){
		"discard": func(q *Queue) {
			for q.Size() > 0 {
				q.Discard(wire.Size(q.Front()))
			}
		},
		"chunk by chunk": func(q *Queue) {
			for q.Size() > 0 {
				q.Discard(len(q.Front()))
			}
		},
		"take":  func(q *Queue) { taken := q.Take(); taken.Clear() },
		"clear": (*Queue).Clear,
	} {
		var q Queue
		for range 1000 {
			q.Append(frame(100))
		}
		empty(&q)
		if q.head != nil || q.tail != nil || q.Size() != 0 || len(q.Front()) != 0 {
			t.Errorf("%s: %d bytes, head %p, tail %p", name, q.Size(), q.head, q.tail)
		}
		q.Append(frame(100))
		if !bytes.Equal(q.Front(), frame(100)) {
			t.Errorf("%s: not as good as new", name)
		}
	}
	var q Queue
	taken := q.Take()
	q.Clear()
	taken.Clear()
	if len(q.Front()) != 0 {
		t.Error("the zero value holds something")
	}
}

func TestTakeLeavesTheRest(t *testing.T) {
	var q Queue
	q.Append(frame(100))
	taken := q.Take()
	q.Append(frame(200))
	if taken.Size() != 100 || q.Size() != 200 || len(taken.Front()) != 100 || len(q.Front()) != 200 {
		t.Errorf("%d and %d bytes", taken.Size(), q.Size())
	}
	taken.Clear()
	if len(q.Front()) != 200 {
		t.Error("clearing one cleared the other")
	}
}

// TestHint: the first chunk has the size of the last content, and shrinks step by step when contents do.
func TestHint(t *testing.T) {
	var q Queue
	first := func() int {
		q.Append(frame(100))
		_, caps := held(&q)
		return caps[0]
	}
	fill := func(frames int) {
		for range frames {
			q.Append(frame(100))
		}
		taken := q.Take()
		taken.Clear()
	}
	if n := first(); n != 1<<10 {
		t.Errorf("at first %d", n)
	}
	fill(200) // 20,100 bytes
	if n := first(); n != 32<<10 {
		t.Errorf("after 20,100 bytes %d", n)
	}
	fill(20_000) // 2 MB: at most the usual size
	for want := 64 << 10; want > 1<<10; want /= 2 {
		if n := first(); n != want {
			t.Errorf("got %d, want %d", n, want)
		}
		fill(0)
	}
	for range 20 {
		if n := first(); n != 1<<10 {
			t.Errorf("at last %d", n)
		}
		fill(0)
	}
	for range 20 {
		q.Take() // of nothing
	}
	fill(300)
	q.Clear()
	if n := first(); n != 1<<10 {
		t.Errorf("after Clear %d", n)
	}
}

// TestTakeSome: whole chunks from the front, at most as many bytes as asked for unless one chunk has more.
func TestTakeSome(t *testing.T) {
	const kib = 1 << 10
	for _, x := range []struct {
		name        string
		frames      []int // a chunk each
		limit       int
		taken, left []int
	}{
		{"of nothing", nil, 10, nil, nil},
		{"all", []int{64 * kib, 64 * kib}, 128 * kib, []int{64 * kib, 64 * kib}, nil},
		{"the front", []int{64 * kib, 64 * kib, 64 * kib}, 128 * kib, []int{64 * kib, 64 * kib}, []int{64 * kib}},
		{"almost two", []int{64 * kib, 64 * kib, 64 * kib}, 128*kib - 1, []int{64 * kib}, []int{64 * kib, 64 * kib}},
		{"one that is longer", []int{100 * kib, 64 * kib}, 10, []int{100 * kib}, []int{64 * kib}},
		{"the only one", []int{100 * kib}, 10, []int{100 * kib}, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			var q Queue
			var all []byte
			for _, n := range x.frames {
				f := frame(n)
				all = append(all, f...)
				copy(q.Reserve(n), f)
			}
			if len(x.frames) > 0 && x.limit == 10 { // consumed bytes do not count
				all = all[1:]
				q.Discard(1)
				x.taken[0]--
			}
			some := q.TakeSome(x.limit)
			taken, _ := held(&some)
			left, _ := held(&q)
			if !slices.Equal(taken, x.taken) || !slices.Equal(left, x.left) || some.Size()+q.Size() != len(all) {
				t.Fatalf("took %v and left %v, want %v and %v", taken, left, x.taken, x.left)
			}
			copy(q.Reserve(8), "appended")
			var got []byte
			for _, part := range []*Queue{&some, &q} {
				for c := range part.Chunks() {
					got = append(got, c...)
				}
			}
			if !bytes.Equal(got, append(all, "appended"...)) {
				t.Error("other bytes")
			}
		})
	}
}

// TestShare: a shared frame is not copied, counts like others, and makes later chunks no larger.
func TestShare(t *testing.T) {
	const kib = 1 << 10
	long := frame(100 * kib)
	half := append(frame(50*kib), long...) // its array has more than the queue is given
	was := slices.Clone(half)
	var q Queue
	q.Append(frame(100))
	q.Share(half[:50*kib])
	q.Append(frame(200))
	q.Share(long)
	q.Append(frame(300))
	if lens, caps := held(&q); q.Size() != 150*kib+600 || !slices.Equal(lens, []int{100, 50 * kib, 200, 100 * kib, 300}) || !slices.Equal(caps, []int{kib, 50 * kib, kib, 100 * kib, kib}) {
		t.Errorf("%d bytes: %v of %v", q.Size(), lens, caps)
	}
	if allocated := testing.AllocsPerRun(100, func() {
		var other Queue
		other.Share(long)
		other.Clear()
	}); allocated > 1 {
		t.Errorf("a shared frame takes %v allocations", allocated)
	}
	some := q.TakeSome(60 * kib)
	if some.Size() != 50*kib+300 || &some.head.next.buf[0] != &half[0] {
		t.Errorf("took %d bytes", some.Size())
	}
	var to Queue
	some.Move(&to, 1<<20)
	q.Move(&to, 1<<20)
	to.Append(frame(400))
	q.Append(frame(500))
	if _, caps := held(&q); !slices.Equal(caps, []int{kib}) {
		t.Errorf("the next chunk has room for %v", caps)
	}
	for to.Size() > 0 {
		to.Discard(wire.Size(to.Front()))
	}
	q.Clear()
	if to.shared != 0 || q.shared != 0 || some.shared != 0 {
		t.Errorf("%d, %d and %d bytes seem shared", to.shared, q.shared, some.shared)
	}
	for range 100 { // of what was let go, the pools have nothing
		q.Append(frame(1100))
	}
	if !bytes.Equal(half, was) {
		t.Error("it was written to")
	}
	q.Clear()
}
