package topic

import (
	"fmt"
	"slices"

	"github.com/x/ringdht/rpc"
)

// Option is an option of [New].
type Option interface{ apply(*config) }

type config struct {
	buffer     int
	retained   bool
	middleware []rpc.Middleware
}

// around puts the middleware around a function, the first outermost.
func (c *config) around(f rpc.Func) rpc.Func {
	for _, m := range slices.Backward(c.middleware) {
		f = m(f)
	}
	return f
}

type option func(*config)

func (o option) apply(c *config) { o(c) }

// WithBuffer sets how many messages a subscription holds for its loop, 256 by default. If there are
// more, the oldest is lost, and Missed of the next one counts it. With 1, a slow loop skips to the
// newest. WithBuffer panics if n is less than 1.
func WithBuffer(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("topic: WithBuffer(%d): at least 1", n))
	}
	return option(func(c *config) { c.buffer = n })
}

// WithRetained makes each member keep the latest message of each subject, and give it to a new
// subscription first. All programs with the Topic should have it. A retained message is there as long
// as one member is. Of messages that were published at the same time by several nodes, all members
// retain the same one.
//
// A member keeps the messages of up to 16,384 subjects, and of 16 MiB in all. Beyond that it forgets
// the one that was published longest ago.
func WithRetained() Option { return option(func(c *config) { c.retained = true }) }

// WithMiddleware adds middleware, the first outermost, inside that of options before it. It is that of
// package rpc, around each Publish, and around the body of the loop for each message. There Op.Serving is
// set and Op.Peer is the publisher. Op.Method is the subject. The middleware may change Op.Meta and
// Op.Value, which must keep its type. If it does not call next at a subscriber, the loop does not get the
// message. A loop has no other context than its own, and there is no answer.
func WithMiddleware(m ...rpc.Middleware) Option {
	return option(func(c *config) { c.middleware = append(c.middleware, m...) })
}
