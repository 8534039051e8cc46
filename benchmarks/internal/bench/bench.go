// Package bench says what a system under measurement is, so that all of them run
// the same loads.
package bench

import "context"

// A System is one way to carry messages between nodes.
type System interface {
	// Name is what the tables call it.
	Name() string

	// Supports reports whether it can carry the load; those it cannot are left
	// out of its rows.
	Supports(Topology) bool

	// Start builds the topology, with every connection and subscription that it
	// needs, and returns when messages can flow at full speed. deliver is called
	// for each message that reaches its sink, with the sink's number and the bytes,
	// which are only borrowed. It is called by one goroutine at a time for each
	// pair of source and sink, by several at once for different ones.
	Start(ctx context.Context, t Topology, deliver func(sink int, payload []byte)) (Net, error)
}

// Topology is what the messages travel over: nodes numbered from 0.
type Topology struct {
	Shape   Shape
	Nodes   int  // of a chain: source, relays and sink
	Entries int  // of a ring: the size of the routing tables; 0: ceil(log2 Nodes)
	Payload int  // bytes of each message
	Memory  bool // over memory instead of loopback TCP, where the system can
}

// Shape is who talks to whom.
type Shape int

const (
	// Chain: node 0 sends to the last one, and in a ping-pong the last one answers
	// along the same way; those in between pass on.
	Chain Shape = iota

	// Ring: everyone sends to everyone, each message to another node drawn at random.
	Ring
)

// Net is a topology that is up.
type Net interface {
	// Sender returns the sending end of a node, for the use of one goroutine.
	Sender(node int) Sender

	// Close takes everything down and waits for its goroutines.
	Close() error
}

// Sender sends for one node.
type Sender interface {
	// Send hands a message over. It waits while the system has no room for it; the
	// bytes are the caller's again when it returns. What Send took is under way
	// without any other call, unless Push is needed for it.
	Send(sink int, payload []byte) error

	// Push sees to it that what was handed over leaves soon. Open loops and
	// ping-pongs call it before they wait; systems that see to that themselves do
	// nothing.
	Push() error
}
