// Package workers calls handlers on a bounded number of goroutines.
//
// What has something for a handler has a [Turn], which waits in the queue of a [Pool]. Workers come
// and go with the work. A reader of a connection has a [Lender]: it lends its goroutine to turns
// while handlers are quick. The package knows nothing of what a turn does. Its lock is a leaf, and
// is not held during a turn. In the long run nothing allocates.
package workers

import (
	"context"
	"sync"
	"time"
)

// Turn is a place in the queue of a pool, for one that has something for a handler now and then. It
// is part of its owner, so queueing allocates nothing. It is in the queue, or runs, once at a time.
type Turn struct {
	Run  func(ctx context.Context) Span // calls the handler; static
	next *Turn
}

// Span is when a small call began and ended, by [Config.Now]. It is zero for other calls, see
// [Lender].
type Span struct{ From, To time.Duration }

// Config describes a pool.
type Config struct {
	Limit      int                  // number of turns that run at once
	Context    context.Context      // of turns
	Now        func() time.Duration // a monotonic clock; above zero
	Goroutines *sync.WaitGroup      // counts those of the pool
}

// Pool runs turns, one after the other. Each worker that starts starts the next one if there is more
// to do, up to Config.Limit. So a handler that blocks holds up no other turn until that many block.
type Pool struct {
	Config
	worker func() // work as a value: go p.worker() then allocates nothing

	mu         sync.Mutex
	head, tail *Turn
	running    int // workers, and goroutines that make inline calls
	closed     bool

	inlineCalls // by readers
}

// New returns a pool without turns.
func New(c Config) *Pool {
	p := &Pool{Config: c}
	p.worker = p.work
	return p
}

// Push gives turns to workers. Turns may push themselves again while they run.
func (p *Pool) Push(turns ...*Turn) {
	p.mu.Lock()
	for _, t := range turns {
		if p.tail == nil {
			p.head = t
		} else {
			p.tail.next = t
		}
		p.tail = t
	}
	p.start()
	p.mu.Unlock()
}

// start starts a worker if there is work for one. It needs mu.
func (p *Pool) start() {
	if p.head != nil && !p.closed && p.running < p.Limit {
		p.running++
		p.Goroutines.Add(1)
		go p.worker()
	}
}

func (p *Pool) work() {
	defer p.Goroutines.Done()
	defer func() { // also if a handler has ended the goroutine
		p.mu.Lock()
		p.running--
		p.start()
		p.mu.Unlock()
	}()
	var took Span
	for {
		p.mu.Lock()
		p.account(took)
		took = Span{}
		t := p.head
		if t == nil || p.closed {
			p.mu.Unlock()
			return
		}
		if p.head = t.next; p.head == nil {
			p.tail = nil
		}
		t.next = nil
		p.start()
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
