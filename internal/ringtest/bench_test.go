package ringtest_test

import (
	"fmt"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// BenchmarkRing measures a ring of ten nodes with three entries each. Each message goes to a
// node drawn at random, on a stream. An operation is a message. A secure ring is over TCP.
func BenchmarkRing(b *testing.B) {
	for _, size := range []int{4, 8, 256, 4096} {
		for _, over := range []string{"memory", "tcp", "secure"} {
			b.Run(fmt.Sprintf("nodes=10/%s/bytes=%d", over, size), func(b *testing.B) {
				var mem *memnet.Network
				if over == "memory" {
					mem = memnet.New(1)
				}
				start := ringtest.New
				if over == "secure" {
					start = ringtest.NewSecure
				}
				tr := start(b, mem)
				for range 10 {
					tr.Join(nil, ringdht.WithTraffic())
				}
				tr.Setup(3)
				tr.Run(status.Traffic{Messages: 1000, Payload: size}) // streams are open from here on
				b.SetBytes(int64(size))
				b.ResetTimer()
				cpu := ringtest.CPUTime()
				s := tr.Run(status.Traffic{Messages: max(b.N/10, 1), Payload: size})
				b.StopTimer()
				b.ReportMetric(float64(ringtest.CPUTime()-cpu)/float64(max(b.N, 10)), "cpu-ns/op")
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
		tr.Run(status.Traffic{Messages: 100})
		tr.Close()
	}
}

// BenchmarkJoin measures how fast nodes join over TCP, all ends in this process. An operation is a
// node that joins an idle registry, and leaves.
func BenchmarkJoin(b *testing.B) {
	for name, start := range starts {
		b.Run(name, func(b *testing.B) {
			tr := start(b, nil)
			for b.Loop() {
				n := tr.Join(nil)
				tr.Remove(n)
				n.Close()
				tr.WaitGone(n.ID())
			}
		})
	}
}

// starts make a ring, open or secure.
var starts = map[string]func(testing.TB, *memnet.Network, ...ringdht.RegistryOption) *ringtest.Ring{
	"open": ringtest.New, "secure": ringtest.NewSecure,
}
