package rpc

import "fmt"

// Option is an option of [New].
type Option interface{ apply(*config) }

// RequestOption is an Option for all that handles requests.
type RequestOption interface {
	Option
	ForRequests() // marks it, for packages that are built on this one
}

// CommonOption is a RequestOption that other services have as well.
type CommonOption interface {
	RequestOption
	ForServices() // marks it, for packages beside this one
}

type config struct {
	concurrency int
	middleware  []Middleware
}

type option func(*config)

func (o option) apply(c *config) { o(c) }
func (o option) ForRequests()    {}
func (o option) ForServices()    {}

// WithConcurrency sets how many requests are handled at once, 256 by default. At the bound their
// sources wait. Of 8 or more one source gets three quarters, so that it cannot keep out others.
// Requests of other handlers do not count: those that wait for them would wait for ever. Of
// these 8,192 are handled at once, and three quarters for one source; further ones fail with
// ringdht.ErrBacklog, not handled. WithConcurrency panics if n is less than 1.
func WithConcurrency(n int) RequestOption {
	if n < 1 {
		panic(fmt.Sprintf("rpc: WithConcurrency(%d): at least 1", n))
	}
	return option(func(c *config) { c.concurrency = n })
}

// WithMiddleware adds middleware, the first outermost, inside that of options before it.
func WithMiddleware(m ...Middleware) CommonOption {
	return option(func(c *config) { c.middleware = append(c.middleware, m...) })
}
