package check

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/kv/store"
	"github.com/x/ringdht/internal/ringtest"
)

// What a request takes over TCP, in one process: one after the other, and 64 at once over 1,000 keys.
func BenchmarkRequests(b *testing.B) {
	tr := ringtest.New(b, nil)
	join := func(zone int) *store.Store {
		n := ringdht.NewNode()
		tr.Nodes = append(tr.Nodes, &ringtest.Node{Node: n})
		s := store.New(n, zone)
		if err := n.Join(tr.Ctx(), tr.Line()); err != nil {
			b.Fatal(err)
		}
		return s
	}
	for i := range 6 {
		join(i % 3)
	}
	s := join(-1)
	tr.Setup(0)
	ctx := tr.Ctx()
	var keys []string
	for i := range 1000 {
		keys = append(keys, fmt.Sprint("key-", i))
	}
	ask := func(b *testing.B, i int, k store.Kind) {
		if _, err := s.Do(ctx, keys[i%len(keys)], store.Request{Kind: k, New: "value"}); err != nil {
			b.Error(err)
		}
	}
	for i := range keys {
		ask(b, i, store.Put)
	}
	for name, kind := range map[string]store.Kind{"get": store.Get, "put": store.Put} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				ask(b, i, kind)
			}
		})
		b.Run(name+"-64", func(b *testing.B) {
			b.SetParallelism(32) // on two processors
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ask(b, rand.Int(), kind)
				}
			})
		})
	}
}
