package node

import (
	"context"
	"fmt"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
)

// Disconnected returns a channel that is closed while there is no connection to the registry.
func (n *Node) Disconnected() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.disconnected
}

// WaitConnected waits until there is a connection to the registry. An expelled node gets none.
func (n *Node) WaitConnected(ctx context.Context) error {
	err := n.Await(ctx, func() bool {
		select {
		case <-n.disconnected:
			return n.expelled.Load()
		default:
			return true
		}
	})
	if n.expelled.Load() {
		return fmt.Errorf("ringdht: %s: %w", n.label(), errExpelled)
	}
	if err != nil {
		return fmt.Errorf("ringdht: %s: %w: %w", n.label(), n.outageError(), err)
	}
	return nil
}

// maxReasons bounds the reasons of one outage that are logged: several ways to a registry may
// fail in turn, each for its own reason.
const maxReasons = 8

// outage is why a node has no registry.
type outage struct {
	err    error               // of the latest attempt
	logged map[string]struct{} // reasons
}

// add adds an attempt that failed, and reports whether its reason is new and must be logged.
func (o *outage) add(err error) (fresh bool) {
	o.err = handshake.Quoted(err)
	reason := handshake.ReasonOf(err)
	if _, logged := o.logged[reason]; logged || len(o.logged) >= maxReasons {
		return false
	}
	if o.logged == nil {
		o.logged = make(map[string]struct{})
	}
	o.logged[reason] = struct{}{}
	return true
}

// connectFailed remembers why the registry could not be reached, or refused the node, and
// logs a new reason.
func (n *Node) connectFailed(err error) {
	n.mu.Lock()
	fresh := n.outage.add(err)
	n.mu.Unlock()
	switch {
	case !fresh:
	case isRefusal(err):
		n.cfg.Log.Warn("the registry refuses this node, which keeps trying", "node", n.Peer(), "err", handshake.Quoted(err))
	default:
		n.cfg.Log.Warn("the registry cannot be reached, trying to reconnect", "node", n.Peer(), "err", handshake.Quoted(err))
	}
}

// outageError is [errs.ErrRegistryLost] with the latest reason, if there is one.
func (n *Node) outageError() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outage.err == nil {
		return errs.ErrRegistryLost
	}
	return fmt.Errorf("%w (%w)", errs.ErrRegistryLost, n.outage.err)
}
