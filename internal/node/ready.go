package node

import (
	"context"
	"fmt"

	"github.com/x/ringdht/internal/errs"
)

// Ready waits until the overlay is set up and everybody's tables lead to this node, so
// that it can send to all members, and they to it. If that is so already it returns nil
// at once, also when ctx has ended.
//
// The error says what was missing when ctx ended, and matches [ErrNotReady]; also
// [ErrRegistryLost] when there was no connection to the registry. Of a node that has been
// closed it matches [ErrClosed], of one that is leaving [ErrNotMember]: these two are not
// waited for. [Node.ReadyNow] does not wait at all.
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
				if n.Await(ctx, func() bool { return n.inc.Load() != inc || n.leaving }) == nil {
					continue
				}
				why = n.notReady(n.inc.Load())
			}
		}
		switch {
		case why == nil:
			return nil
		case n.isEnding():
			return fmt.Errorf("ringdht: node %d: %w", n.ID(), why)
		case ctx.Err() != nil:
			return fmt.Errorf("ringdht: node %d: %w (%w)", n.ID(), why, context.Cause(ctx))
		}
	}
}

// isEnding says that the node is closed or leaving, so that it never becomes ready.
func (n *Node) isEnding() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closed || n.leaving
}

// ReadyNow says whether the node is ready, without waiting: nil if it is, as of
// [Node.Ready]; else the error says why not. It is for probes. A node whose registry is
// away stays ready, since messages flow on; see [Node.Disconnected].
func (n *Node) ReadyNow() error {
	if why := n.notReady(n.inc.Load()); why != nil {
		return fmt.Errorf("ringdht: node %d: %w", n.ID(), why)
	}
	return nil
}

// noTableError is the error of a call that needs a routing table, when the node has none yet: on a
// live ring it will have one in a moment, before the set-up it will not.
func (n *Node) noTableError() error {
	if why := n.notReady(n.inc.Load()); why != nil {
		return why
	}
	return fmt.Errorf("%w: the node received its routing table just now: try again", errs.ErrNotReady)
}

// notReady says why a life is not ready, nil if it is. Of what is missing it names what
// has to happen first.
func (n *Node) notReady(inc *incarnation) error {
	n.mu.Lock()
	leaving, closed := n.leaving, n.closed
	lost := false
	select {
	case <-n.disconnected:
		lost = true
	default:
	}
	n.mu.Unlock()
	switch {
	case closed:
		return errs.ErrClosed
	case leaving:
		return fmt.Errorf("%w: it is leaving", errs.ErrNotMember)
	case inc.ctx.Err() != nil:
		return fmt.Errorf("%w: %w", errs.ErrNotReady, context.Cause(inc.ctx))
	case inc.isReady():
		return nil
	case lost:
		return fmt.Errorf("%w: %w: the node tries to reconnect", errs.ErrNotReady, n.outageError())
	}
	local, why := inc.local.Load(), inc.linkError.Load()
	switch {
	case local.Epoch == 0 && inc.self.Epoch == 0:
		return fmt.Errorf("%w: it has not been set up: run Setup (setup-overlay) at the registry", errs.ErrNotReady)
	case local.Epoch == 0:
		return fmt.Errorf("%w: the ring is live, but this node has no routing table from the registry yet: wait", errs.ErrNotReady)
	case why == nil:
		return fmt.Errorf("%w: the node is opening the links of its table: wait", errs.ErrNotReady)
	case *why != nil:
		return fmt.Errorf("%w: not all links of the node's table are up (%w)", errs.ErrNotReady, *why)
	}
	return fmt.Errorf("%w: the node's links are up, but not all routing tables lead to it yet: wait", errs.ErrNotReady)
}
