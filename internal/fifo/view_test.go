package fifo

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// numbered returns a frame of so many bytes, with a number that makes it unique.
func numbered(size int, n uint32) []byte {
	f := frame(size)
	for i := wire.HeaderSize; i < size; i++ {
		f[i] = byte(n >> (8 * (i % 4)))
	}
	wire.Header{Type: wire.Data, Seq: uint64(n)}.Put(f, size-wire.HeaderSize)
	return f
}

func content(q *Queue) (all []byte) {
	for c := range q.Chunks() {
		all = append(all, c...)
	}
	return all
}

// A view has the same bytes in the same order, whatever becomes of the queue that it came
// from. Bytes that were consumed there before are left out.
func TestView(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var store, out Queue
		var kept, want []byte // what store and out must hold
		var from Cursor
		var fresh int // bytes of kept, at its end, that were not shared
		var frames []int
		number := uint32(0)
		for range 400 {
			switch rng.IntN(8) {
			case 0, 1, 2, 3: // a message
				size := wire.HeaderSize + rng.IntN(1<<rng.IntN(14))
				f := numbered(size, number)
				number++
				copy(store.ReserveMessage(size), f)
				if fresh == 0 {
					from = store.Last(size)
				}
				kept = append(kept, f...)
				fresh += size
				frames = append(frames, size)
			case 4: // they leave
				shared := store.View(from, fresh, &out)
				if shared != fresh {
					t.Fatalf("seed %d: %d bytes of %d are shared", seed, shared, fresh)
				}
				want = append(want, kept[len(kept)-fresh:]...)
				fresh = 0
			case 5: // some are acknowledged, even some that have not left
				n := rng.IntN(len(frames) + 1)
				store.DiscardMessages(n)
				gone := 0
				for _, size := range frames[:n] {
					gone += size
				}
				frames, kept = frames[n:], kept[gone:]
				if fresh > len(kept) { // View finds that out itself
					missing := fresh
					fresh = len(kept)
					if got := store.View(from, missing, &out); got != fresh {
						t.Fatalf("seed %d: %d bytes are shared, %d are left", seed, got, fresh)
					}
					want = append(want, kept[len(kept)-fresh:]...)
					fresh = 0
				}
			case 6: // a write
				if n := len(out.Front()); n > 0 {
					if !bytes.Equal(out.Front(), want[:n]) {
						t.Fatalf("seed %d: what leaves is not what came", seed)
					}
					out.Discard(n)
					want = want[n:]
				}
			case 7:
				switch rng.IntN(4) {
				case 0: // a frame of another kind, in between
					f := numbered(wire.HeaderSize+rng.IntN(100), 1<<31)
					out.Append(f)
					want = append(want, f...)
				case 1: // it may be changed
					out.CopyViews()
					for c := range out.Chunks() {
						for i := range c {
							c[i] ^= 0xff
						}
					}
					for i := range want {
						want[i] ^= 0xff
					}
				case 2: // it goes to another queue
					var moved Queue
					out.Move(&moved, 1<<rng.IntN(18))
					n := moved.Size()
					if !bytes.Equal(content(&moved), want[:n]) {
						t.Fatalf("seed %d: what was moved is not what came", seed)
					}
					moved.Clear()
					want = want[n:]
				}
			}
			if out.Size() != len(want) || store.Size() != len(kept) {
				t.Fatalf("seed %d: %d and %d bytes, want %d and %d", seed, out.Size(), store.Size(), len(want), len(kept))
			}
			if !bytes.Equal(content(&store), kept) || !bytes.Equal(content(&out), want) {
				t.Fatalf("seed %d: the content is off", seed)
			}
		}
		store.Clear()
		if !bytes.Equal(content(&out), want) {
			t.Fatalf("seed %d: what was shared went with the store", seed)
		}
		out.Clear()
	}
}

// A chunk goes back to its pool once both queues have consumed it, and not before.
func TestViewedChunkIsReused(t *testing.T) {
	var store, out Queue
	size := 8 << 10
	copy(store.ReserveMessage(size), numbered(size, 1))
	at := store.Last(size)
	c := store.head
	if store.View(at, size, &out) != size || out.head.owner != c || c.refs.Load() != 2 {
		t.Fatalf("%d holders", c.refs.Load())
	}
	store.Clear()
	if c.refs.Load() != 1 || !bytes.Equal(out.Front(), numbered(size, 1)) {
		t.Errorf("%d holders", c.refs.Load())
	}
	out.Clear()
	if c.refs.Load() != 0 || len(c.buf) != 0 {
		t.Errorf("%d holders, %d bytes", c.refs.Load(), len(c.buf))
	}
}

func TestNothingIsAppendedToAView(t *testing.T) {
	var store, out Queue
	size := 8<<10 + 1 // of a chunk of 16 KiB
	copy(store.ReserveMessage(size), numbered(size, 1))
	store.View(store.Last(size), size, &out)
	out.Append(frame(100))
	copy(store.ReserveMessage(100), numbered(100, 2))
	if got := content(&out); !bytes.Equal(got[size:], frame(100)) {
		t.Error("the store has written over it")
	}
	if cap(out.tail.buf) != 1<<minClass {
		t.Errorf("a chunk of %d bytes for a frame in between", cap(out.tail.buf))
	}
}
