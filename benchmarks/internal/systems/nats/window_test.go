package nats

import (
	"testing"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/systems/flow"
)

// What is on top of NATS costs it little: of five messages one at most is answered, in the
// largest ring with the longest messages too.
func TestFewMessagesAreAnswered(t *testing.T) {
	for _, nodes := range []int{2, 10, 32, 100} {
		for _, payload := range []int{8, 256, 4096} {
			w := NewWindow(bench.Topology{Shape: bench.Ring, Nodes: nodes, Payload: payload})
			if messages := w.Step / (payload + flow.Overhead); messages < 5 {
				t.Errorf("%d nodes, %d bytes: one of %d messages is answered", nodes, payload, messages)
			}
		}
	}
}
