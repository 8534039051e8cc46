package node

import (
	"context"
	"fmt"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/plane"
)

// Leave ends the membership in good order, so that of every message to and from the node
// both ends know whether it was handled:
//
//  1. It waits until everything sent has been delivered, as [Node.Flush] does. Messages
//     still come in.
//  2. It takes no more messages. What has arrived is handled, and handlers may send. Then
//     each source is told how far that came: what was not handled comes back to it, see
//     [Undelivered] and [ErrLeft].
//  3. It sends nothing more (Send fails with [ErrNotMember]) and waits until what handlers
//     have sent has been delivered.
//  4. The registry takes the node out of all tables. The node relays until all peers have
//     let go of it, and closes.
//
// A traffic run that the node takes part in ends for it; the account names it as lost.
//
// Leave waits for handlers and for sinks as long as ctx lets it; for sources that do not
// confirm, and for a registry that is away, a lease. When ctx ends in any step, or has ended
// before the call, it asks the registry to take the node out, and closes the node without
// waiting for the answer. The error says what could not be done: messages not known to be
// delivered ([UndeliveredError]; not those that the callback of [WithUndelivered] has been
// told), a registry that is gone ([ErrRegistryLost]), a life that was declared dead
// meanwhile ([ErrEvicted]). A second call returns an error that matches [ErrNotMember].
//
// A handler of the node, or its callback for undelivered messages, cannot call Leave or
// [Node.Close], which would wait for it, and neither can what has its context: both do
// nothing then but return an error that matches [ErrInHandler].
func (n *Node) Leave(ctx context.Context) ([]plane.Undelivered, error) {
	if n.inHandler(ctx) {
		return nil, fmt.Errorf("ringdht: node %d: leaving: %w: call Leave from another goroutine, with another context", n.ID(), errs.ErrInHandler)
	}
	n.mu.Lock()
	if n.leaving || n.closed {
		n.mu.Unlock()
		return nil, fmt.Errorf("ringdht: node %d has left the ring already: %w", n.ID(), errs.ErrNotMember)
	}
	n.leaving = true
	close(n.leaveBegun)
	n.changed.Broadcast()
	n.mu.Unlock()
	inc := n.inc.Load()
	inc.traffic.disable()

	err := n.leave(ctx, inc)
	if err != nil {
		err = fmt.Errorf("ringdht: node %d: leaving: %w", n.ID(), err)
	}
	return n.close(), err
}

// leave does what [Node.Leave] lists, as far as it comes. It asks the registry in any
// case to take the node out, so that the others need not find out that it is gone.
func (n *Node) leave(ctx context.Context, inc *incarnation) error {
	err := inc.awaitDeliveries(ctx)
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
	if let := n.deregister(ctx, inc); err == nil {
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

// inHandler says that the goroutine, or the context, is that of a handler or callback of
// any of the node's lives.
func (n *Node) inHandler(ctx context.Context) bool {
	return plane.OwnerOf(ctx) == n.owner || plane.Inside(n.owner)
}

func (n *Node) isLeaving() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leaving
}

// isDeregistering says that the registry was asked to take the node out.
func (n *Node) isDeregistering() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.deregistering
}

// isReleased says that the registry has let go of the node: there is no coming back.
func (n *Node) isReleased() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.released
}

// deregister waits until the registry and all peers have let go of the node. A registry
// that is away has a lease to come back. One that hangs up on the question each time, and
// comes back, cannot read it, and is not asked for ever.
func (n *Node) deregister(ctx context.Context, inc *incarnation) error {
	n.mu.Lock()
	n.deregistering = true
	n.mu.Unlock()
	inc.wake()
	for asked := 0; ; asked++ {
		if asked > handshake.MaxReminders {
			return fmt.Errorf("deregistering: %w: it has hung up %d times without an answer", errs.ErrRegistryLost, asked)
		}
		select {
		case <-n.deregistered: // an answer that nobody asked for, or to an earlier question
		default:
		}
		lost := n.Disconnected()
		inc.sendHeartbeat() // the last word on what it has done
		n.Tell(control.TypeDeregister, control.Deregister{ID: inc.self.ID, Addr: n.address()})
		select {
		case err := <-n.deregistered:
			return err
		case <-lost:
		case <-inc.ctx.Done():
			return fmt.Errorf("deregistering: %w", context.Cause(inc.ctx))
		case <-ctx.Done():
			return fmt.Errorf("deregistering: %w", context.Cause(ctx))
		}
		select {
		case err := <-n.deregistered: // it answered, and then the connection ended
			return err
		default:
		}
		patience, cancel := context.WithTimeout(ctx, inc.lease())
		stop := context.AfterFunc(inc.ctx, cancel) // a life that is over is not taken back
		err := n.WaitConnected(patience)
		stop()
		cancel()
		switch {
		case err == nil:
		case inc.ctx.Err() != nil:
			return fmt.Errorf("deregistering: %w", context.Cause(inc.ctx))
		default:
			return fmt.Errorf("deregistering: %w", n.outageError())
		}
	}
}
