// Package broadcast has systems in which node 0 publishes, and each other node gets all of it. Send
// publishes. The publisher has no subscription of its own.
package broadcast

import "github.com/x/ringdht/benchmarks/internal/bench"

// All returns the systems.
func All() []bench.System { return []bench.System{ring{}, nats{}} }

// none is the part of a Sender that a broadcast does not need.
type none struct{}

func (none) Push() error { return nil }
