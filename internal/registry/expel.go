package registry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/status"
)

// revokedMargin is how much longer than all admissions a key stays revoked: clocks of members may be
// a little behind.
const revokedMargin = time.Minute

// Expel ends the process that has an ID, or had it last, for good. First its key is revoked on disk,
// and the token ended by which it joined. Then all members hear of it, and last its incarnation is
// declared over.
func (r *Registry) Expel(ctx context.Context, id status.ID) error {
	what := fmt.Sprintf("expelling node %d", id)
	if err := r.mayChange(ctx, what); err != nil {
		return err
	}
	r.mu.Lock()
	h := r.holders.named(uint64(id))
	if h == nil {
		r.mu.Unlock()
		return fmt.Errorf("ringdht: registry: %s: %w: no process with that ID has an admission that this registry has given: one that is away since before the registry started can be expelled when it is back", what, errs.ErrNotMember)
	}
	found := *h
	r.mu.Unlock()
	var ended string
	err := r.sec.commit(what, func(next *ringState, now time.Time) error {
		next.expire(now)
		if slices.ContainsFunc(next.expelled, func(e expelled) bool { return e.key == found.key }) {
			return nil
		}
		if len(next.expelled) >= status.MaxExpelled {
			return fmt.Errorf("%s: %d expelled nodes are remembered, which is the most: the first is forgotten when its admissions have expired, at %s", what, len(next.expelled), text(next.nextExpiry()))
		}
		// The node may be getting a later admission at this moment, or has one from a registry with
		// another WithSecurity. None is valid for longer.
		next.expelled = append(next.expelled, expelled{id: found.ref.ID, key: found.key, when: now, until: next.lastUntil.Add(revokedMargin)})
		next.tokens.endUsedBy(now, found.key)
		if t := next.tokens.find(found.token); t != nil && t.state == status.TokenValid && !t.once {
			number := t.number
			next.tokens.end(now, number, status.TokenExpelled)
			if next.tokens.shared() == nil {
				if err := r.sec.addShared(next, now); err != nil {
					return err
				}
			}
			ended = fmt.Sprintf(", and token %d, by which it joined, has ended: further nodes need a new join line", number)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ringdht: registry: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tellTrust()
	event := status.Event{Kind: status.EventExpelled, Why: fmt.Sprintf("node %d was expelled (key %v)%s", found.ref.ID, found.key, ended)}
	if now := r.holders.byKey[found.key]; now != nil && now.present { // a key is that of one member, see membership.Authority.Resume
		if m, ok := r.members.Holder(now.ref.ID); ok && m.Ref() == now.ref {
			event.Node, event.Incarnation = peer(m), m.Incarnation
		}
		r.members.Expel(r.now(), now.ref, "expelled by the operator")
	}
	r.recordEvent(event)
	r.change()
	r.wake()
	return nil
}

// mayChange is the check before each change of a secure ring by the operator.
func (r *Registry) mayChange(ctx context.Context, what string) error {
	if r.sec == nil {
		return openError(what)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("ringdht: registry: %s: nothing was changed: %w", what, context.Cause(ctx))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return r.closedError(what)
	}
	return nil
}
