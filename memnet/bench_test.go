package memnet

import (
	"fmt"
	"io"
	"testing"
)

var sizes = []int{40, 4 << 10, 64 << 10}

// BenchmarkTurns writes and reads in one goroutine: the cost of the buffer alone.
func BenchmarkTurns(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r, w := Pipe()
			p, q := make([]byte, size), make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				w.Write(p)
				io.ReadFull(r, q)
			}
		})
	}
}

// BenchmarkStream has a writer and a concurrent reader, which reads up to 64 KiB at a time, as links do.
func BenchmarkStream(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r, w := Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				q := make([]byte, 64<<10)
				for {
					if _, err := r.Read(q); err != nil {
						return
					}
				}
			}()
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				w.Write(p)
			}
			w.Close()
			<-done
		})
	}
}

// BenchmarkEcho is a round trip of 40 bytes between two goroutines.
func BenchmarkEcho(b *testing.B) {
	r, w := Pipe()
	go func() {
		defer r.Close()
		q := make([]byte, 40)
		for {
			n, err := r.Read(q)
			if err != nil {
				return
			}
			r.Write(q[:n])
		}
	}()
	p := make([]byte, 40)
	b.ReportAllocs()
	for b.Loop() {
		w.Write(p)
		io.ReadFull(w, p)
	}
	w.Close()
}
