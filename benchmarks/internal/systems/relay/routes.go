// Package relay is shared by the systems that relay messages by hand: the links between
// nodes, the routes, and the bound on bytes in flight. How frames cross a link is up to each
// system.
package relay

import (
	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/internal/ring"
)

// A routes holds each node's links, and by node and sink the link to take.
type routes struct {
	peers [][]int
	next  [][]int
}

// newRoutes makes a link in each direction between neighbours of a chain. In a ring it makes
// the links of ringdht: entry i leads 2^i positions ahead, and a message takes the entry
// closest to its sink that does not pass it.
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

// ahead returns how many positions a node is ahead of another.
func ahead(nodes, self, other int) int { return (other - self + nodes) % nodes }
