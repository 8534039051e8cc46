// Package process measures rings in which each node has a process of its own. The program
// starts itself once for each node. It talks to the nodes over their standard input and
// output, one JSON value at a time: an order, then an answer.
package process

import (
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// role is the environment variable that makes the program a node.
const role = "RINGDHT_BENCHMARK_NODE"

// node is the value of role.
type node struct {
	System   string
	Topology bench.Topology
	Number   int
	Host     string
}

// order is an order to a node. The zero order asks how much has arrived.
type order struct {
	Connect []string      `json:",omitempty"` // connect to the nodes at these addresses
	Flood   time.Duration `json:",omitempty"` // send to the other nodes for so long
	Leave   bool          `json:",omitempty"`
}

// answer is the answer to an order. A node also sends one when it has joined.
type answer struct {
	Error   string `json:",omitempty"`
	Addr    string `json:",omitempty"` // after joining
	Sent    int64  // by the last flood
	Arrived int64  // since the start
	CPU     time.Duration
}
