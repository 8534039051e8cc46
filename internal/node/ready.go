package node

import (
	"context"
	"fmt"

	"github.com/x/ringdht/internal/errs"
)

// Ready waits until the node is ready, across incarnations. It does not wait for a node that
// is closed or leaving.
func (n *Node) Ready(ctx context.Context) error {
	for {
		inc := n.inc.Load()
		why := n.notReady(inc)
		if why != nil && !n.isEnding() {
			select {
			case <-inc.ready:
			case <-inc.ctx.Done():
			case <-n.leaveBegun:
			case <-ctx.Done():
			}
			if why = n.notReady(inc); why != nil && inc.ctx.Err() != nil && !n.isEnding() { // it joins again
				if n.Await(ctx, func() bool { return n.inc.Load() != inc || n.leaving || n.expelled.Load() }) == nil {
					continue
				}
				why = n.notReady(n.inc.Load())
			}
		}
		switch {
		case why == nil:
			return nil
		case n.isEnding():
			return fmt.Errorf("ringdht: %s: %w", n.label(), why)
		case ctx.Err() != nil:
			return fmt.Errorf("ringdht: %s: %w (%w)", n.label(), why, context.Cause(ctx))
		}
	}
}

// isEnding reports whether the node is closed, leaving or expelled, and so never becomes ready.
func (n *Node) isEnding() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closed || n.leaving || n.expelled.Load()
}

// AwaitEnd waits until the node is over for good, closed or expelled, and returns why. It returns nil
// if ctx has ended first.
func (n *Node) AwaitEnd(ctx context.Context) error {
	n.Await(ctx, n.expelled.Load)
	switch {
	case n.expelled.Load():
		return fmt.Errorf("ringdht: %s: %w", n.label(), errExpelled)
	case n.ctx.Err() != nil:
		return fmt.Errorf("ringdht: %s: %w", n.label(), context.Cause(n.ctx))
	}
	return nil
}

// AwaitClosed waits until the node is over, as long as ctx lasts, and closes it.
func (n *Node) AwaitClosed(ctx context.Context) {
	n.AwaitEnd(ctx)
	n.Close()
}

// ReadyNow returns nil if the node is ready, and otherwise why it is not.
func (n *Node) ReadyNow() error {
	if why := n.notReady(n.inc.Load()); why != nil {
		return fmt.Errorf("ringdht: %s: %w", n.label(), why)
	}
	return nil
}

// noTableError is the error of a call that found no routing table. On a live ring a table
// comes in a moment; before the set-up none does. So it may have come since the call.
func (n *Node) noTableError() error {
	if why := n.notReady(n.inc.Load()); why != nil {
		return why
	}
	return fmt.Errorf("%w: the node received its routing table just now: try again", errs.ErrNotReady)
}

// notReady is why an incarnation is not ready, or nil if it is. Of several things that are
// missing it names the one that comes first.
func (n *Node) notReady(inc *incarnation) error {
	n.mu.Lock()
	leaving, closed := n.leaving, n.closed
	disconnected := false
	select {
	case <-n.disconnected:
		disconnected = true
	default:
	}
	n.mu.Unlock()
	switch {
	case closed:
		return errs.ErrClosed
	case n.expelled.Load():
		return errExpelled
	case leaving:
		return fmt.Errorf("%w: it is leaving", errs.ErrNotMember)
	case inc.ctx.Err() != nil:
		return fmt.Errorf("%w: %w", errs.ErrNotReady, context.Cause(inc.ctx))
	case inc.isReady():
		return nil
	case disconnected:
		return fmt.Errorf("%w: %w: the node tries to reconnect", errs.ErrNotReady, n.outageError())
	}
	local, linkError := inc.local.Load(), inc.linkError.Load()
	switch {
	case local.Epoch == 0 && inc.self.Epoch == 0 && inc.self.Identity == "":
		return fmt.Errorf("%w: it has not been set up: run Setup (setup-overlay) at the registry", errs.ErrNotReady)
	case local.Epoch == 0:
		return fmt.Errorf("%w: the ring is live, but this node has no routing table from the registry yet: wait", errs.ErrNotReady)
	case linkError == nil:
		return fmt.Errorf("%w: the node is opening the links of its table: wait", errs.ErrNotReady)
	case *linkError != nil:
		return fmt.Errorf("%w: not all links of the node's table are up (%w)", errs.ErrNotReady, *linkError)
	}
	return fmt.Errorf("%w: the node's links are up, but not all routing tables lead to it yet: wait", errs.ErrNotReady)
}
