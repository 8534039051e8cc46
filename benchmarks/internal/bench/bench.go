// Package bench defines a system under measurement, so that all systems run the same loads.
package bench

import "context"

// A System is a way to carry messages between nodes.
type System interface {
	// Name is its name in the tables.
	Name() string

	// Supports reports whether the system can carry the load. If not, it is left out of the
	// load's rows.
	Supports(Topology) bool

	// Start builds the topology with all connections and subscriptions, and returns when
	// messages can flow at full speed. It calls deliver for each message that reaches its
	// sink, with the sink's number and the bytes, which are borrowed. For each pair of source
	// and sink, one goroutine at a time calls it; for different pairs, several at once.
	Start(ctx context.Context, t Topology, deliver func(sink int, payload []byte)) (Net, error)
}

// Topology is the network under the messages. Its nodes are numbered from 0.
type Topology struct {
	Shape   Shape
	Nodes   int  // of a chain: source, relays and sink
	Entries int  // of a ring: the size of the routing tables; 0: ceil(log2 Nodes)
	Payload int  // bytes of each message
	Memory  bool // over memory instead of loopback TCP, where the system can
}

// Shape says which nodes send to which.
type Shape int

const (
	// Chain: node 0 sends to the last node, and in a ping-pong the last node answers along
	// the same path. The nodes in between relay.
	Chain Shape = iota

	// Ring: every node sends to all others, each message to another node drawn at random.
	Ring
)

// Net is a running topology.
type Net interface {
	// Sender returns the sending end of a node, for use by one goroutine.
	Sender(node int) Sender

	// Close stops everything and waits for its goroutines.
	Close() error
}

// Sender sends for one node.
type Sender interface {
	// Send accepts a message. It waits while the system has no room for it, and does not keep
	// the bytes. An accepted message is on its way without any other call, except where Push
	// is needed.
	Send(sink int, payload []byte) error

	// Push makes accepted messages leave soon. Open loops and ping-pongs call it before they
	// wait. It does nothing in systems that flush by themselves.
	Push() error
}
