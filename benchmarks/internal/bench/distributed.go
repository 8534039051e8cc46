package bench

import "context"

// Distributed is a system whose nodes can also live in a process each. It only has
// to form rings that way.
type Distributed interface {
	System

	// Host starts what the nodes meet at, if they need something, in the process
	// that starts the others.
	Host(ctx context.Context, t Topology) (Host, error)

	// Join starts a node in this process. What deliver gets is as for
	// [System.Start].
	Join(ctx context.Context, t Topology, node int, host string, deliver func(sink int, payload []byte)) (Member, error)
}

// Host is where the nodes meet: a registry, a server, or nothing.
type Host interface {
	// Addr is what all Joins are told.
	Addr() string

	// Form is called once, when all have joined.
	Form(ctx context.Context) error

	Close() error
}

// Member is a node in a process of its own.
type Member interface {
	// Addr is what the others are told.
	Addr() string

	// Connect is called on all at once, when the host has formed the ring, with
	// everybody's addresses, by their numbers. When it has returned everywhere,
	// messages can flow at full speed.
	Connect(ctx context.Context, addrs []string) error

	Sender() Sender
	Close() error
}
