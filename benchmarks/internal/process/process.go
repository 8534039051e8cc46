// Package process measures rings whose nodes have a process each. The program starts
// itself once for each node, and talks to them over their standard input and output,
// one JSON value at a time: an order, an answer.
package process

import (
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// role is the environment variable that makes the program a node, and says which.
const role = "RINGDHT_BENCHMARK_NODE"

// node is what it says.
type node struct {
	System   string
	Topology bench.Topology
	Number   int
	Host     string
}

// order is what a node is told to do. The zero order is to say what has arrived.
type order struct {
	Connect []string      `json:",omitempty"` // to the nodes at these addresses
	Flood   time.Duration `json:",omitempty"` // the others for so long
	Leave   bool          `json:",omitempty"`
}

// answer is what it says when that is done, and once when it has joined.
type answer struct {
	Error   string `json:",omitempty"`
	Addr    string `json:",omitempty"` // when it has joined
	Sent    int64  // by the last flood
	Arrived int64  // since the start
	CPU     time.Duration
}
