package registry

import (
	"context"
	"fmt"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
)

// change wakes the callers of Await; it needs mu.
func (r *Registry) change() { r.changed.Broadcast() }

// Await waits until done, called with mu held at every change, returns true. What is so
// when ctx ends counts.
func (r *Registry) Await(ctx context.Context, done func() bool) error {
	closed := false
	err := r.changed.Await(ctx, context.Background(), &r.mu, func() bool {
		if done() {
			return true
		}
		closed = r.closed
		return closed
	})
	if closed {
		return errs.ErrClosed
	}
	return err
}

// Authority is the membership, guarded by the registry's lock: it may be used within
// [Registry.Await] only.
func (r *Registry) Authority() *membership.Authority { return r.members }

// Running is the number of the run under way, or 0. It may be used within [Registry.Await] only.
func (r *Registry) Running() uint64 {
	if r.runs.current == nil {
		return 0
	}
	return r.runs.current.number
}

// WaitMembers waits until at least n nodes are registered. If they are it returns nil at
// once, also if ctx has ended.
func (r *Registry) WaitMembers(ctx context.Context, n int) error {
	have := 0
	err := r.Await(ctx, func() bool {
		have = r.members.Len()
		return have >= n
	})
	if err != nil {
		return fmt.Errorf("ringdht: registry: %d of %d nodes are registered: %w", have, n, err)
	}
	return nil
}

// WaitSettled waits until the ring is as it should be: everybody who has joined is
// part of it, nobody is out of sight, and all members use the tables that the present
// membership asks for. If it is so already it returns nil at once, also if ctx has ended.
// The error matches [ErrNotReady] and says what is missing.
func (r *Registry) WaitSettled(ctx context.Context) error {
	var missing []string
	err := r.Await(ctx, func() bool {
		missing = r.members.Unsettled()
		if len(missing) == 0 && r.members.Lagging() > 0 {
			missing = []string{"long entries are about to be put right"}
		}
		return len(missing) == 0
	})
	if err != nil {
		return fmt.Errorf("ringdht: registry: %w: %s (%w)", errs.ErrNotReady, handshake.Some(missing), err)
	}
	return nil
}
