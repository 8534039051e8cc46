package bench

import "context"

// Distributed is a system whose nodes can also live in one process each. It needs to form
// rings only.
type Distributed interface {
	System

	// Host starts the meeting point of the nodes, if they need one, in the process that
	// starts the others.
	Host(ctx context.Context, t Topology) (Host, error)

	// Join starts a node in this process. It calls deliver as [System.Start] does.
	Join(ctx context.Context, t Topology, node int, host string, deliver func(sink int, payload []byte)) (Member, error)
}

// Host is the meeting point of the nodes: a registry, a server, or nothing.
type Host interface {
	// Addr is the address that all Joins get.
	Addr() string

	// Form is called once, after all nodes have joined.
	Form(ctx context.Context) error

	Close() error
}

// Member is a node in a process of its own.
type Member interface {
	// Addr is the address that the other nodes get.
	Addr() string

	// Connect is called on all nodes at once, after the host has formed the ring, with the
	// addresses of all nodes, by their numbers. When all calls have returned, messages can
	// flow at full speed.
	Connect(ctx context.Context, addrs []string) error

	Sender() Sender
	Close() error
}
