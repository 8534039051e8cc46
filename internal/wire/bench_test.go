package wire

import (
	"fmt"
	"testing"
)

func eachSize(b *testing.B, f func(b *testing.B, body []byte)) {
	for _, size := range []int{8, 256, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(HeaderSize + size))
			b.ReportAllocs()
			f(b, make([]byte, size))
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	eachSize(b, func(b *testing.B, body []byte) {
		dst := make([]byte, 0, HeaderSize+len(body))
		for b.Loop() {
			dst = Append(dst[:0], someHeader, body)
		}
	})
}

// BenchmarkParse is a relay's work with a frame: scan it, split it off, read its route, count its hop.
func BenchmarkParse(b *testing.B) {
	eachSize(b, func(b *testing.B, body []byte) {
		buf := Append(nil, someHeader, body)
		var sum uint64
		for b.Loop() {
			whole, _, err := Scan(buf, len(buf))
			if err != nil {
				b.Fatal(err)
			}
			f, _ := Next(buf[:whole])
			f.SetHops(f.Hops() + 1)
			sum += f.Dst() + f.Src() + uint64(len(f.Body()))
		}
		_ = sum
	})
}
