package keys

import (
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht/rpc"
)

// Option is an option of [New] and [Open].
type Option interface{ apply(*config) }

type config struct {
	concurrency int
	buffer      int
	patience    time.Duration
	middleware  []rpc.Middleware
	unknown     func(Unknown)
}

func newConfig(opts []Option) config {
	c := config{concurrency: 256, buffer: 1024, patience: 10 * time.Second}
	for _, o := range opts {
		o.apply(&c)
	}
	return c
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

// WithConcurrency sets how many messages a node handles at once, 256 by default: at most one for each
// key. Others wait. Messages of handlers do not count: those that wait for them would wait for ever.
// WithConcurrency panics if n is less than 1.
func WithConcurrency(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("keys: WithConcurrency(%d): at least 1", n))
	}
	return option(func(c *config) { c.concurrency = n })
}

// WithBuffer sets how many messages of a node may have no outcome yet, 1,024 by default, and at most
// 2,048. At the bound, and at 4 MiB of them, Send and Call wait; those of handlers do not count. WithBuffer panics if n is out of range.
func WithBuffer(n int) Option {
	if n < 1 || n > maxBuffer {
		panic(fmt.Sprintf("keys: WithBuffer(%d): at least 1 and at most %d", n, maxBuffer))
	}
	return option(func(c *config) { c.buffer = n })
}

// WithPatience sets how long the handlers of keys that are to move may go on before their contexts
// end, 10 seconds by default. Meanwhile their messages wait. WithPatience panics if d is not positive.
func WithPatience(d time.Duration) Option {
	if d <= 0 {
		panic(fmt.Sprintf("keys: WithPatience(%v): it must be positive", d))
	}
	return option(func(c *config) { c.patience = d })
}

// WithMiddleware adds middleware, the first outermost, inside that of options before it. It is that of
// package rpc, around each Call and Send of a [Method], and around each handler. Op.Key is the key.
// Op.Peer is the node that asks, and 0 at that node, which does not know the owner yet.
func WithMiddleware(m ...rpc.Middleware) Option {
	return option(func(c *config) { c.middleware = append(c.middleware, m...) })
}

// WithUnknown sets a function that is told of each message of Send that has no known outcome, see
// [ErrUnknown]. It is called on a goroutine of its own, one call at a time, in the order of the
// messages to a key. Calls that it holds up are dropped beyond 4,096; Flush counts them nevertheless.
func WithUnknown(f func(Unknown)) Option { return option(func(c *config) { c.unknown = f }) }

// Unknown is a message whose outcome is not known.
type Unknown struct {
	Key    string
	Method string // empty for messages of [Keys]
	Body   []byte // what [Keys.Send] got, or the request as the ring's codec encodes it
	Err    error  // matches ErrUnknown
}

// SendOption is an option of one message.
type SendOption interface{ applySend(*sending) }

type sending struct{ again bool }

type sendOption func(*sending)

func (o sendOption) applySend(s *sending) { o(s) }

// Again sends a message once more if its owner dies before its outcome is known, to the next owner and
// before later messages to the key. So it is handled at least once, and has no unknown outcome while
// this node lives.
func Again() SendOption { return sendOption(func(s *sending) { s.again = true }) }
