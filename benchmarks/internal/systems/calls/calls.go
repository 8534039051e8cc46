// Package calls has systems whose Send is a call: it returns when the other end has answered. The
// answer is the request's payload. Each handles requests as its users would, on goroutines of its
// own.
package calls

import (
	"github.com/x/ringdht/benchmarks/internal/bench"
)

// All returns the systems, the reference first.
func All() []bench.System { return []bench.System{tcp{}, ring{}, nats{}, unary{}} }

// none is the part of a Sender that a call does not need.
type none struct{}

func (none) Push() error { return nil }
