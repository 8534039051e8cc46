package memnet

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

func TestBufferAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	var b buffer
	var model []byte
	for range 2000 {
		if r.IntN(2) == 0 {
			p := make([]byte, r.IntN(3*chunkSize))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			b.put(p)
			model = append(model, p...)
			clear(p) // the buffer has its own copy
		} else {
			p := make([]byte, r.IntN(4*chunkSize))
			n := b.take(p)
			if want := min(len(p), len(model)); n != want || !bytes.Equal(p[:n], model[:n]) {
				t.Fatalf("seed %d: took %d bytes, want %d, or other bytes", seed, n, want)
			}
			model = model[n:]
		}
		if (b.head == nil) != (len(model) == 0) || (b.tail == nil) != (b.head == nil) {
			t.Fatalf("seed %d: %d bytes, head %p, tail %p", seed, len(model), b.head, b.tail)
		}
	}
	b.clear()
	if b != (buffer{}) {
		t.Fatal("not empty after clear")
	}
}

func TestDrainedConnHoldsNothing(t *testing.T) {
	over(t, func(t *testing.T, a, b net.Conn) {
		h := a.(*conn).out
		data := pattern(bufferSize)
		write(t, a, string(data))
		read(t, b, string(data))
		if h.buf.head != nil || h.size != 0 || h.ready != 0 || h.inFlight != nil || h.timer != nil {
			t.Fatalf("drained, it still holds %+v", h)
		}
		write(t, a, "x")
		b.Close()
		if h.buf.head != nil {
			t.Fatal("closed by its reader, it still holds bytes")
		}
	})
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool is lossy under the race detector")
	}
	n := New(1)
	a, b := pair(t, n, "a", "b")
	for _, size := range sizes {
		p, q := make([]byte, size), make([]byte, size)
		allocs := testing.AllocsPerRun(200, func() {
			a.Write(p)
			for n := 0; n < size; {
				k, _ := b.Read(q)
				n += k
			}
		})
		if allocs != 0 {
			t.Errorf("%d bytes: %v allocations", size, allocs)
		}
	}
	deadline := time.Now().Add(time.Hour)
	a.SetReadDeadline(deadline)
	if allocs := testing.AllocsPerRun(200, func() { a.SetReadDeadline(deadline) }); allocs != 0 {
		t.Errorf("SetReadDeadline: %v allocations", allocs)
	}
	if allocs := testing.AllocsPerRun(200, func() { a.LocalAddr() }); allocs != 0 {
		t.Errorf("LocalAddr: %v allocations", allocs)
	}
}
