package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/reentry"
)

// Leave ends the membership in good order, closes the node, and returns what is undelivered.
func (n *Node) Leave(ctx context.Context) ([]plane.Undelivered, error) {
	if n.inHandler(ctx) {
		return nil, fmt.Errorf("ringdht: %s: leaving: %w: call Leave from another goroutine, with another context", n.label(), errs.ErrInHandler)
	}
	n.mu.Lock()
	if n.leaving || n.closed {
		n.mu.Unlock()
		return nil, fmt.Errorf("ringdht: %s has left the ring already: %w", n.label(), errs.ErrNotMember)
	}
	n.leaving = true
	close(n.leaveBegun)
	n.changed.Broadcast()
	n.mu.Unlock()
	inc := n.inc.Load()
	if !inc.begun() {
		return n.close(), fmt.Errorf("ringdht: %s: leaving: %w: it has not joined a ring", n.label(), errs.ErrNotMember)
	}
	inc.traffic.disable()

	err := n.leave(ctx, inc)
	if err != nil {
		err = fmt.Errorf("ringdht: %s: leaving: %w", n.label(), err)
	}
	return n.close(), err
}

// leave takes the steps that the root package lists for Leave, until one fails. In any case the
// services wind up, and it asks the registry to take the node out, so that the other members need
// not find out that it is gone.
func (n *Node) leave(ctx context.Context, inc *incarnation) error {
	patience := registryPatience{inc: inc, left: inc.lease()}
	n.unlist(ctx, &patience)
	err := inc.awaitDeliveries(ctx)
	failed := n.windUp(ctx, inc)
	return errors.Join(failed, n.leaveRing(ctx, inc, err, &patience))
}

// unlist waits until no other member lists the node as one that serves. Then no new work comes while
// its services wind up. It takes half of the time that ctx has at most, since the later steps need
// the rest. If it fails, later steps say why.
func (n *Node) unlist(ctx context.Context, patience *registryPatience) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	if !n.unlists.Load() || ctx.Err() != nil {
		return
	}
	n.mu.Lock()
	n.unlisting = true
	n.mu.Unlock()
	n.Tell(control.TypeLeaving, control.Leaving{}) // connect tells another registry
	for range handshake.MaxReminders + 1 {
		disconnected := n.Disconnected()
		select {
		case <-n.unlisted:
			return
		case <-disconnected:
		case <-patience.inc.ctx.Done():
			return
		case <-ctx.Done():
			return
		}
		if patience.await(ctx) != nil || !n.unlists.Load() {
			return
		}
	}
}

// asksToUnlist reports whether the node waits until no other lists it, or winds up since.
func (n *Node) asksToUnlist() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.unlisting && !n.deregistering
}

// registryPatience is how long a node that leaves waits for a registry that is away, in all.
type registryPatience struct {
	inc  *incarnation
	left time.Duration
}

// await waits for a connection to the registry, as long as ctx, the incarnation and the patience last.
func (p *registryPatience) await(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, p.left)
	defer cancel()
	defer context.AfterFunc(p.inc.ctx, cancel)() // an incarnation that has ended does not register again
	err := p.inc.n.WaitConnected(ctx)
	p.left = max(0, p.left-time.Since(began))
	return err
}

// windUp calls the functions of OnLeave. If one fails, the others are called all the same. Their context
// ends with the incarnation too: what they wait for would not come any more.
func (n *Node) windUp(ctx context.Context, inc *incarnation) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(inc.ctx, func() { cancel(context.Cause(inc.ctx)) })()
	var failed []error
	for _, f := range slices.Backward(n.cfg.OnLeave) {
		if err := f(ctx); err != nil {
			failed = append(failed, fmt.Errorf("winding up: %w", err))
		}
	}
	return errors.Join(failed...)
}

// leaveRing takes the steps after the services have wound up, unless a step before has failed with
// err.
func (n *Node) leaveRing(ctx context.Context, inc *incarnation, err error, patience *registryPatience) error {
	if err == nil {
		err = inc.plane.CloseIncoming(ctx, inc.lease())
	}
	inc.plane.StopSending()
	if err == nil {
		err = inc.awaitDeliveries(ctx)
	}
	if err == nil {
		err = inc.plane.CloseOutgoing(ctx, inc.lease())
	}
	if let := n.deregister(ctx, inc, patience); err == nil {
		err = let
	}
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.released = true
	n.mu.Unlock()
	return inc.plane.Drain(ctx)
}

// inHandler reports whether the goroutine, or the context, belongs to a handler or callback of
// any incarnation of the node.
func (n *Node) inHandler(ctx context.Context) bool {
	return plane.OwnerOf(ctx) == n.owner || reentry.Inside(n.owner)
}

func (n *Node) isLeaving() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leaving
}

// isDeregistering reports whether the registry was asked to take the node out.
func (n *Node) isDeregistering() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.deregistering
}

// isReleased reports whether the registry has taken the node out. Then it cannot come back.
func (n *Node) isReleased() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.released
}

// deregister asks the registry to take the node out, and waits until it has, and all peers
// have confirmed that. A registry that is away has a lease to come back, in all steps together. A
// registry that reconnects and closes the connection on each request cannot read it, so the requests
// are limited.
func (n *Node) deregister(ctx context.Context, inc *incarnation, patience *registryPatience) error {
	n.mu.Lock()
	n.deregistering = true
	n.mu.Unlock()
	inc.wake()
	for requests := 0; ; requests++ {
		if requests > handshake.MaxReminders {
			return fmt.Errorf("deregistering: %w: it has hung up %d times without an answer", errs.ErrRegistryLost, requests)
		}
		select {
		case <-n.deregistered: // an answer to an earlier request, or to none
		default:
		}
		disconnected := n.Disconnected()
		inc.sendHeartbeat() // with the last counts
		n.Tell(control.TypeDeregister, control.Deregister{ID: inc.self.ID, Addr: n.address()})
		select {
		case err := <-n.deregistered:
			return err
		case <-disconnected:
		case <-inc.ctx.Done():
			return fmt.Errorf("deregistering: %w", context.Cause(inc.ctx))
		case <-ctx.Done():
			return fmt.Errorf("deregistering: %w", context.Cause(ctx))
		}
		select {
		case err := <-n.deregistered: // the answer came, and then the connection ended
			return err
		default:
		}
		err := patience.await(ctx)
		switch {
		case err == nil:
		case inc.ctx.Err() != nil:
			return fmt.Errorf("deregistering: %w", context.Cause(inc.ctx))
		default:
			return fmt.Errorf("deregistering: %w", n.outageError())
		}
	}
}
