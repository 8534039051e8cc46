package reference

import (
	"math/bits"
	"testing"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// With full tables a route has as many hops as its distance has bits set. With smaller tables
// no route passes its sink.
func TestRoutes(t *testing.T) {
	for _, n := range []int{2, 3, 10, 32, 100} {
		for k := range 8 {
			top := bench.Topology{Shape: bench.Ring, Nodes: n, Entries: k}
			nodes := make([]*node, n)
			for i := range nodes {
				nodes[i] = ideal{}.node(i, top, nil)
			}
			for source := range n {
				for distance := 1; distance < n; distance++ {
					at, left, hops := source, distance, 0
					for ; left > 0; hops++ {
						e := nodes[at].next[(source+distance)%n]
						at, left = (at+1<<e)%n, left-1<<e
					}
					if left < 0 {
						t.Fatalf("%d nodes, %d entries: the way from %d to %d positions on passes it", n, k, source, distance)
					}
					if all := entries(top) == entries(bench.Topology{Nodes: n}); all && hops != bits.OnesCount(uint(distance)) {
						t.Fatalf("%d nodes: %d hops to %d positions on", n, hops, distance)
					}
				}
			}
		}
	}
}
