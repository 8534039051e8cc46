package rpc

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht/internal/ringtest"
)

// BenchmarkCall makes calls over one hop, with so many in flight.
func BenchmarkCall(b *testing.B) { benchmarkCall(b, context.Background()) }

// BenchmarkCallWithDeadline makes calls that have a deadline.
func BenchmarkCallWithDeadline(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	benchmarkCall(b, ctx)
}

func benchmarkCall(b *testing.B, ctx context.Context) {
	for _, inFlight := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("inflight=", inFlight), func(b *testing.B) {
			r := ends{ringtest.New(b, nil), b}
			e, _ := r.join(0, nil, nil)
			bytes := Method[[]byte, []byte]("bytes")
			r.join(1<<15, func(e *Endpoint) {
				bytes.Handle(e, func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
			}, nil)
			r.setup(1)
			payload := make([]byte, 64)
			b.ReportAllocs()
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range inFlight {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := bytes.Call(ctx, e, 1<<15, payload); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
