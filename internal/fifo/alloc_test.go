package fifo

import (
	"fmt"
	"testing"
)

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	f := frame(300)
	span := make([]byte, 0, 50*len(f))
	for range 50 {
		span = append(span, f...)
	}
	var q Queue
	sum := 0
	for name, cycle := range map[string]func(){
		"append and discard": func() {
			q.Append(span)
			for q.Size() > 0 {
				q.Discard(len(f))
			}
		},
		"reserve, take and chunks": func() {
			for range 500 {
				copy(q.Reserve(len(f)), f)
			}
			taken := q.Take()
			for c := range taken.Chunks() {
				sum += len(c)
			}
			taken.Clear()
		},
	} {
		if n := testing.AllocsPerRun(100, cycle); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAppendTake(b *testing.B) {
	for _, size := range []int{40, 288, 4128} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := frame(size)
			var q Queue
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				q.Append(f)
				if q.Size() > 100<<10 {
					taken := q.Take()
					taken.Clear()
				}
			}
			q.Clear()
		})
	}
}
