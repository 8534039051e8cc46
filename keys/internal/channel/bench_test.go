package channel

import (
	"fmt"
	"testing"
)

// counter is an output that counts frames, and answers each at times.
type counter struct {
	c      *Channel
	answer []byte
	frames int
}

func (k *counter) Deliver([]byte) {
	k.frames++
	if k.answer != nil {
		k.c.Send(k.answer)
	}
}

func (k *counter) Admit(uint64, []byte) bool { return true }

// flow is a channel whose first end sends frames of a size. Their acknowledgements may come a round later.
func flow(answered, later bool, size int) func(frames int) {
	atA, atB := new(counter), new(counter)
	a, b := New(1, 2, atA), New(2, 1, atB)
	frame, body := make([]byte, size), make([]byte, 0, 32<<10)
	if atB.c = b; answered {
		atB.answer = frame
	}
	carry := func(from, to *Channel) {
		for from.Pending() {
			body = from.Take(body[:0], cap(body))
			if err := to.Receive(body); err != nil {
				panic(err)
			}
		}
	}
	return func(frames int) {
		for range frames {
			a.Send(frame)
		}
		if later {
			carry(b, a)
		}
		carry(a, b)
		if !later {
			carry(b, a)
		}
	}
}

// Small frames allocate nothing, at neither end, whether they come alone or many at a time.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, size := range []int{0, 16, 200} {
		for _, frames := range []int{1, 20, 64} {
			for _, answered := range []bool{false, true} {
				for _, later := range []bool{false, true} {
					round := flow(answered, later, size)
					round(100)
					if n := testing.AllocsPerRun(1000, func() { round(frames) }); n != 0 {
						t.Errorf("%d frames of %d bytes, answered %v, later %v: %v allocations", frames, size, answered, later, n)
					}
				}
			}
		}
	}
}

// BenchmarkFrame is one frame: sent, taken in a body of up to 32 KiB, received, delivered and
// acknowledged.
func BenchmarkFrame(b *testing.B) {
	for _, size := range []int{16, 200} {
		for _, frames := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("%d bytes, %d at a time", size, frames), func(b *testing.B) {
				round := flow(false, false, size)
				b.ReportAllocs()
				for i := 0; i < b.N; i += frames {
					round(min(frames, b.N-i))
				}
			})
		}
	}
}

// BenchmarkLargeFrame is one of 1 MiB in bodies of 32 KiB.
func BenchmarkLargeFrame(b *testing.B) {
	const size = 1 << 20
	round := flow(false, false, size)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		round(1)
	}
}
