// Package relay is what the systems that pass messages on by hand have in common:
// who is linked to whom, the way, and the bound on what is under way. How frames
// cross a link is the system's own.
package relay

import (
	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/internal/ring"
)

// A routes says by node whom it has links to, and by node and sink which of these
// links is the way.
type routes struct {
	peers [][]int
	next  [][]int
}

// newRoutes makes a link in each direction between neighbours of a chain, and in a
// ring those that ringdht has: entry i leads 2^i positions on, and the way is the
// entry that is closest to the sink without passing it.
func newRoutes(t bench.Topology) routes {
	r := routes{make([][]int, t.Nodes), make([][]int, t.Nodes)}
	k := 0
	if t.Shape == bench.Ring {
		k = ring.Entries(t.Nodes, t.Entries)
	}
	for self := range t.Nodes {
		r.next[self] = make([]int, t.Nodes)
		if t.Shape == bench.Ring {
			r.peers[self] = ring.AppendPositions(nil, t.Nodes, self, k)
			for sink := range t.Nodes {
				for i, p := range r.peers[self] {
					if ahead(t.Nodes, self, p) <= ahead(t.Nodes, self, sink) {
						r.next[self][sink] = i
					}
				}
			}
			continue
		}
		if self > 0 {
			r.peers[self] = append(r.peers[self], self-1)
		}
		if self < t.Nodes-1 {
			for sink := self + 1; sink < t.Nodes; sink++ {
				r.next[self][sink] = len(r.peers[self])
			}
			r.peers[self] = append(r.peers[self], self+1)
		}
	}
	return r
}

// ahead is how many positions a node lies ahead of another.
func ahead(nodes, self, other int) int { return (other - self + nodes) % nodes }
