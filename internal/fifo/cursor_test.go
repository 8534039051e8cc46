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

// A copy has the same bytes in the same order, whatever becomes of the queue that it came
// from. Bytes that were consumed there before are left out.
func TestCopy(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var store, out Queue
		var kept, want []byte // what store and out must hold
		var from Cursor
		var fresh int // bytes of kept, at its end, that were not copied
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
				copied := store.Copy(from, fresh, &out)
				if copied != fresh {
					t.Fatalf("seed %d: %d bytes of %d are copied", seed, copied, fresh)
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
				if fresh > len(kept) { // Copy finds that out itself
					missing := fresh
					fresh = len(kept)
					if got := store.Copy(from, missing, &out); got != fresh {
						t.Fatalf("seed %d: %d bytes are copied, %d are left", seed, got, fresh)
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
			t.Fatalf("seed %d: what was copied went with the store", seed)
		}
		out.Clear()
	}
}
