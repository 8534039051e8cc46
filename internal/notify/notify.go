// Package notify wakes goroutines that wait for a change of shared state.
package notify

import (
	"context"
	"sync"
	"sync/atomic"
)

// Change announces that some state has changed. Its zero value is ready to use; it must not
// be copied after its first use.
//
// All methods may be called at the same time, with or without the mutex that guards the state.
// There is one rule: a waiter calls Next before it reads the state, and a writer calls
// Broadcast after it has changed it. Then no change is missed.
//
// A broadcast without a waiter costs one atomic load. A [sync.Cond] was rejected: it cannot
// wait for a context at the same time.
type Change struct {
	next atomic.Pointer[chan struct{}] // nil while nothing waits
}

// Next returns a channel that is closed by the next Broadcast.
func (c *Change) Next() <-chan struct{} {
	for {
		if ch := c.next.Load(); ch != nil {
			return *ch
		}
		ch := make(chan struct{})
		if c.next.CompareAndSwap(nil, &ch) {
			return ch
		}
	}
}

// Broadcast wakes every goroutine that waits for the channel of an earlier Next.
func (c *Change) Broadcast() {
	if c.next.Load() == nil {
		return
	}
	if ch := c.next.Swap(nil); ch != nil {
		close(*ch)
	}
}

// Awaited reports whether Next was called since the last Broadcast.
func (c *Change) Awaited() bool { return c.next.Load() != nil }

// Await returns nil once done reports true. It calls done with mu locked, at first and
// after each Broadcast. When ctx or owner ends it returns that context's cause; but a change
// that came before is looked at first. Pass [context.Background] where there is no owner.
func (c *Change) Await(ctx, owner context.Context, mu sync.Locker, done func() bool) error {
	for {
		mu.Lock()
		if done() {
			mu.Unlock()
			return nil
		}
		changed := c.Next()
		mu.Unlock()
		if err := Wait(ctx, owner, changed, nil); err != nil {
			return err
		}
	}
}

// Wait returns nil when one of two channels is closed, and the cause of ctx or owner when
// that context ends first. Where both have happened the channel wins, so the caller looks
// at the state once more before it gives up. A nil channel is never closed.
func Wait(ctx, owner context.Context, one, other <-chan struct{}) error {
	var err error
	select {
	case <-one:
		return nil
	case <-other:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-owner.Done():
		err = context.Cause(owner)
	}
	select {
	case <-one:
		return nil
	case <-other:
		return nil
	default:
		return err
	}
}
