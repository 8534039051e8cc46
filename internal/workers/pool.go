// Package workers calls handlers on a bounded number of goroutines.
//
// What has something for a handler has a [Turn], which waits in the queue of a [Pool], or in that of
// a [Group] of turns. Workers come and go with the work. A reader of a connection has a [Lender]: it lends its goroutine to turns
// while handlers are quick. The package knows nothing of what a turn does. Its lock is a leaf, and
// is not held during a turn. In the long run nothing allocates.
package workers

import (
	"context"
	"sync"
	"time"
)

// Turn is a place in the queue of a group, for one that has something for a handler now and then. It
// is part of its owner, so queueing allocates nothing. It is in the queue, or runs, once at a time.
type Turn struct {
	Run   func(ctx context.Context) Span // calls the handler; static
	Group *Group                         // nil: the pool's own; static
	next  *Turn
}

// Group is turns of one kind, which have a queue and a limit of their own: at most Config.Limit of
// them run at once. So turns that block hold up none of another group. A Pool is a group itself.
type Group struct {
	pool   *Pool
	worker func() // work as a value: go g.worker() then allocates nothing

	// guarded by the pool's mu
	head, tail *Turn
	running    int // workers, and goroutines that make inline calls
}

// Span is when a small call began and ended, by [Config.Now]. It is zero for other calls, see
// [Lender].
type Span struct{ From, To time.Duration }

// Config describes a pool.
type Config struct {
	Limit      int                  // number of turns of a group that run at once
	Context    context.Context      // of turns
	Now        func() time.Duration // a monotonic clock; above zero
	Goroutines *sync.WaitGroup      // counts those of the pool
}

// Pool runs turns, one after the other. Each worker that starts starts the next one if there is more
// to do, up to Config.Limit. So a handler that blocks holds up no other turn until that many block.
type Pool struct {
	Config
	Group // of turns that name no other

	mu     sync.Mutex
	closed bool

	inlineCalls // by readers
}

// New returns a pool without turns.
func New(c Config) *Pool {
	p := &Pool{Config: c}
	p.Init(&p.Group)
	return p
}

// Init makes g a group of the pool.
func (p *Pool) Init(g *Group) { g.pool, g.worker = p, g.work }

// groupOf returns the group of a turn.
func (p *Pool) groupOf(t *Turn) *Group {
	if t.Group != nil {
		return t.Group
	}
	return &p.Group
}

// Push gives turns to workers. Turns may push themselves again while they run.
func (p *Pool) Push(turns ...*Turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var g *Group
	for _, t := range turns {
		if of := p.groupOf(t); of != g {
			if g != nil {
				g.start()
			}
			g = of
		}
		if g.tail == nil {
			g.head = t
		} else {
			g.tail.next = t
		}
		g.tail = t
	}
	if g != nil {
		g.start()
	}
}

// start starts a worker if there is work for one. It needs the pool's mu.
func (g *Group) start() {
	if p := g.pool; g.head != nil && !p.closed && g.running < p.Limit {
		g.running++
		p.Goroutines.Add(1)
		go g.worker()
	}
}

func (g *Group) work() {
	p := g.pool
	defer p.Goroutines.Done()
	defer func() { // also if a handler has ended the goroutine
		p.mu.Lock()
		g.running--
		g.start()
		p.mu.Unlock()
	}()
	var took Span
	for {
		p.mu.Lock()
		p.account(took)
		took = Span{}
		t := g.head
		if t == nil || p.closed {
			p.mu.Unlock()
			return
		}
		if g.head = t.next; g.head == nil {
			g.tail = nil
		}
		t.next = nil
		g.start()
		p.mu.Unlock()
		took = t.Run(p.Context)
	}
}

// Close makes sure that no turn starts any more. Those that run go on.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}
