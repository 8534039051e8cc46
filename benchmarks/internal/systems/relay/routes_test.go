package relay

import (
	"testing"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/internal/ring"
)

func TestRoutesTakeTheHopsOfRingdht(t *testing.T) {
	for nodes := 2; nodes <= 40; nodes++ {
		for entries := range 7 {
			top := bench.Topology{Shape: bench.Ring, Nodes: nodes, Entries: entries}
			k := ring.Entries(nodes, entries)
			walk(t, top, func(from, to int) int { return ring.Hops(ahead(nodes, from, to), k) })
		}
		walk(t, bench.Topology{Shape: bench.Chain, Nodes: nodes}, func(from, to int) int { return max(from-to, to-from) })
	}
}

func walk(t *testing.T, top bench.Topology, want func(from, to int) int) {
	t.Helper()
	r := newRoutes(top)
	for from := range top.Nodes {
		for to := range top.Nodes {
			hops := 0
			for at := from; at != to && hops <= top.Nodes; hops++ {
				at = r.peers[at][r.next[at][to]]
			}
			if hops != want(from, to) {
				t.Fatalf("%+v: %d hops from %d to %d, want %d", top, hops, from, to, want(from, to))
			}
		}
	}
}
