package ringtest_test

import (
	"fmt"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// BenchmarkRing measures a ring of ten nodes with three entries each. Each message goes to a
// node drawn at random, on a stream. An operation is a message.
func BenchmarkRing(b *testing.B) {
	for _, size := range []int{4, 256, 4096} {
		for _, over := range []string{"memory", "tcp"} {
			b.Run(fmt.Sprintf("nodes=10/%s/bytes=%d", over, size), func(b *testing.B) {
				var net *memnet.Network
				if over == "memory" {
					net = memnet.New(1)
				}
				tr := ringtest.New(b, net)
				for range 10 {
					tr.Join(nil, ringdht.WithTraffic())
				}
				tr.Setup(3)
				tr.Run(ringdht.Traffic{Messages: 1000, Payload: size}) // streams are open from here on
				b.SetBytes(int64(size))
				b.ResetTimer()
				s := tr.Run(ringdht.Traffic{Messages: max(b.N/10, 1), Payload: size})
				b.StopTimer()
				b.ReportMetric(s.Rate(), "msg/s")
				b.ReportMetric(s.MeanHops, "hops")
			})
		}
	}
}

// BenchmarkFirstRun measures a first run: every message opens a stream to another sink.
func BenchmarkFirstRun(b *testing.B) {
	for b.Loop() {
		tr := ringtest.New(b, memnet.New(1), ringdht.WithBits(7))
		for range 128 {
			tr.Join(nil, ringdht.WithTraffic())
		}
		tr.Setup(0)
		tr.Run(ringdht.Traffic{Messages: 100})
		tr.Close()
	}
}
