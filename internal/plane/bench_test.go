package plane

import (
	"fmt"
	"net"
	"testing"
)

var sizes = []int{8, 256, 4096}

// BenchmarkStream sends from the first node of a line to the last, with acknowledgements: one
// hop, two or four.
func BenchmarkStream(b *testing.B) {
	for name, pipe := range map[string]func(testing.TB) (net.Conn, net.Conn){"memory": memory, "tcp": tcp} {
		for _, hops := range []int{1, 2, 4} {
			for _, size := range sizes {
				b.Run(fmt.Sprintf("%s/hops=%d/bytes=%d", name, hops, size), func(b *testing.B) {
					m := newMesh(b, hops+1, 1, testLimits(), pipe, nil)
					from, sink := m.planes[0], m.planes[hops].Self
					body := make([]byte, size)
					b.SetBytes(int64(size))
					b.ReportAllocs()
					used := processorTime()
					for b.Loop() {
						if err := from.Send(b.Context(), sink, 0, body); err != nil {
							b.Fatal(err)
						}
					}
					if _, err := from.Flush(b.Context()); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(processorTime()-used)/float64(b.N), "cpu-ns/msg")
					report(b, m)
				})
			}
		}
	}
}

// BenchmarkBatch is the same with 64 messages a call.
func BenchmarkBatch(b *testing.B) {
	for _, hops := range []int{1, 2} {
		for _, size := range sizes {
			b.Run(fmt.Sprintf("tcp/hops=%d/bytes=%d", hops, size), func(b *testing.B) {
				m := newMesh(b, hops+1, 1, testLimits(), tcp, nil)
				from, sink := m.planes[0], m.planes[hops].Self
				all := bodies(64, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				used := processorTime()
				for sent := 0; sent < b.N; sent += len(all) {
					if _, err := from.SendBatch(b.Context(), sink, 0, all[:min(len(all), b.N-sent)]); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := from.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(processorTime()-used)/float64(b.N), "cpu-ns/msg")
				report(b, m)
			})
		}
	}
}

// BenchmarkCast is the same without streams. It reports lost messages.
func BenchmarkCast(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("tcp/hops=2/bytes=%d", size), func(b *testing.B) {
			m := newMesh(b, 3, 1, testLimits(), tcp, nil)
			body := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := m.planes[0].Cast(b.Context(), 30, 0, body); err != nil {
					b.Fatal(err)
				}
			}
			m.planes[0].Send(b.Context(), 30, 0, body) // behind the casts
			m.planes[0].Flush(b.Context())
			b.ReportMetric(100*float64(m.planes[2].counters.inboxFull.Load())/float64(b.N), "%lost")
			report(b, m)
		})
	}
}

// report adds how many frames shared a read and a write.
func report(b *testing.B, m *mesh) {
	var frames, reads, writes int64
	for _, p := range m.planes {
		c := p.Counters()
		frames += c.FramesIn
		reads += c.Reads
		writes += c.Writes
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(frames)/float64(max(reads, 1)), "frames/read")
	b.ReportMetric(float64(frames)/float64(max(writes, 1)), "frames/write")
}

// BenchmarkFlush measures how long it takes to know that a message was handled, two hops away.
func BenchmarkFlush(b *testing.B) {
	m := newMesh(b, 4, 1, testLimits(), tcp, nil)
	for b.Loop() {
		if err := m.planes[0].Send(b.Context(), 30, 0, []byte("message")); err != nil {
			b.Fatal(err)
		}
		if _, err := m.planes[0].Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
