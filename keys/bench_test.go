package keys

import (
	"context"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
)

// A message to a key and its answer, over TCP: to another node, and at the owner itself.
func BenchmarkCall(b *testing.B) {
	ring := ringtest.New(b, nil)
	const put = Method[uint64, uint64, uint64]("put")
	var spaces []*Space[uint64]
	for i := range 2 {
		n := ringdht.NewNode(ring.Options(nil)...)
		s := New[uint64](n, "bench")
		if i == 0 {
			put.Handle(s, func(_ context.Context, _ string, state *uint64, by uint64) (uint64, error) {
				*state += by
				return *state, nil
			})
		}
		if err := n.Join(ring.Ctx(), ring.Line()); err != nil {
			b.Fatal(err)
		}
		ring.Nodes = append(ring.Nodes, newNode(n))
		spaces = append(spaces, s)
	}
	ring.Setup(0)
	for name, s := range map[string]*Space[uint64]{"owner": spaces[0], "other": spaces[1]} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := put.Call(context.Background(), s, "key", 1); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"-send", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := put.Send(context.Background(), s, "key", 1); err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Flush(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
	ring.Close()
}
