package ringdht

import (
	"testing"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// Messages of a chain pass every relay, and as many on the way back, over both transports,
// with streams and without.
func TestChainsHaveRelays(t *testing.T) {
	for _, s := range []system{{}, {cast: true}} {
		for _, memory := range []bool{false, true} {
			for _, nodes := range []int{2, 3, 5} {
				const messages = 20
				arrived := make(chan int, 1)
				up, err := s.Start(t.Context(), bench.Topology{Nodes: nodes, Payload: 8, Memory: memory}, func(sink int, _ []byte) {
					arrived <- sink
				})
				if err != nil {
					t.Fatal(err)
				}
				n := up.(*net)
				for i := range 2 * messages {
					source, sink := 0, nodes-1
					if i%2 == 1 {
						source, sink = sink, source
					}
					if err := n.Sender(source).Send(sink, make([]byte, 8)); err != nil {
						t.Fatal(err)
					}
					if at := <-arrived; at != sink {
						t.Fatalf("a message to %d arrives at %d", sink, at)
					}
				}
				if all := len(n.nodes); all != 2*(nodes-1) {
					t.Errorf("%d nodes", all)
				}
				for i, node := range n.nodes {
					c := node.Status().Counters
					if end := i == 0 || i == nodes-1; end && c.Relayed > 0 || !end && c.Relayed < messages {
						t.Errorf("%v, memory %v, chain of %d: node %d relayed %d messages", s, memory, nodes, i, c.Relayed)
					}
				}
				if err := n.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
