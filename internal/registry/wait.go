package registry

import (
	"context"
	"fmt"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/status"
)

// change wakes the callers of Await. It needs mu.
func (r *Registry) change() { r.changed.Broadcast() }

// Await waits until done returns true. It calls done with mu held, at first and after each change.
// A change that comes before ctx ends counts.
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

// Authority returns the membership. It may be used within [Registry.Await] only, where mu is held.
func (r *Registry) Authority() *membership.Authority { return r.members }

// Running returns the number of the current run, or 0. It may be used within [Registry.Await] only.
func (r *Registry) Running() uint64 {
	if r.runs.current == nil {
		return 0
	}
	return r.runs.current.number
}

// ReadyNow returns nil if nodes can join, and otherwise why not. It does not look for a free ID.
func (r *Registry) ReadyNow() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	why := errs.ErrNotReady
	switch {
	case r.closed:
		why = errs.ErrClosed
	case len(r.listeners) == 0:
		why = fmt.Errorf("%w: it does not listen", why)
	case r.members.AdmitsNone() != "":
		why = fmt.Errorf("%w: %s", errs.ErrRebuilding, r.members.AdmitsNone())
	case r.sec != nil && r.sec.isFailing():
		why = fmt.Errorf("%w: it cannot write the state of the ring", errs.ErrRebuilding)
	default:
		return nil
	}
	return fmt.Errorf("ringdht: registry: %w", why)
}

// WaitMembers waits for a number of members.
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

// WaitSettled waits until the membership misses nothing, and until no table entry lags behind the
// present membership: Setup does not wait for the second. If members are left out, its error is a
// [status.LeftOutError] that names them.
func (r *Registry) WaitSettled(ctx context.Context) error {
	var missing []string
	var leftOut []status.LeftOut
	err := r.Await(ctx, func() bool {
		missing, leftOut = r.members.Unsettled(), r.leftOut()
		if len(missing) == 0 && r.members.Lagging() > 0 {
			missing = []string{"some table entries lag behind the membership"}
		}
		return len(missing) == 0
	})
	if err != nil {
		return fmt.Errorf("ringdht: registry: %w: %s (%w)", errs.ErrNotReady, handshake.JoinFew(missing), err)
	}
	if len(leftOut) > 0 {
		return fmt.Errorf("ringdht: registry: %w", &status.LeftOutError{Members: leftOut})
	}
	return nil
}
