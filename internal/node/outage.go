package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
)

// maxReasons is how many reasons of one outage are logged: a registry that can be reached
// in several ways may fail in as many, in turn.
const maxReasons = 8

// outage is why a node has no registry.
type outage struct {
	err    error               // the latest attempt failed
	logged map[string]struct{} // reasons that were logged
}

// add takes the reason of an attempt that add, and says whether it is a new one.
func (o *outage) add(err error) (fresh bool) {
	o.err = withShortText(err)
	reason := handshake.ReasonOf(err)
	if _, told := o.logged[reason]; told || len(o.logged) >= maxReasons {
		return false
	}
	if o.logged == nil {
		o.logged = make(map[string]struct{})
	}
	o.logged[reason] = struct{}{}
	return true
}

// withShortText bounds the text of an error, which may be another's.
func withShortText(err error) error {
	if text := err.Error(); len(handshake.Brief(text)) < len(text) {
		return &shortError{err, handshake.Brief(text)}
	}
	return err
}

type shortError struct {
	err  error
	text string
}

func (e *shortError) Error() string { return e.text }
func (e *shortError) Unwrap() error { return e.err }

// isRefusal says that the registry has answered, and said no.
func isRefusal(err error) bool {
	if errors.Is(err, errs.ErrHandshake) {
		return true
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return true
		}
	}
	return false
}

// connectFailed takes note that the registry could not be reached, or refused the node.
func (n *Node) connectFailed(err error) {
	n.mu.Lock()
	fresh := n.outage.add(err)
	n.mu.Unlock()
	switch {
	case !fresh:
	case isRefusal(err):
		n.cfg.Log.Warn("the registry refuses this node, which keeps trying", "node", n.Peer(), "err", withShortText(err))
	default:
		n.cfg.Log.Warn("the registry cannot be reached, trying to reconnect", "node", n.Peer(), "err", withShortText(err))
	}
}

// outageError is [ErrRegistryLost] with the latest reason, if there is one.
func (n *Node) outageError() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outage.err == nil {
		return errs.ErrRegistryLost
	}
	return fmt.Errorf("%w (%w)", errs.ErrRegistryLost, n.outage.err)
}

// Disconnected is closed while the connection to the registry is lost. Messages flow on
// meanwhile, and the dead are routed around, but nobody can join. The node connects
// again by itself; then Disconnected returns another channel, see [Node.WaitConnected].
func (n *Node) Disconnected() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.disconnected
}

// WaitConnected waits until there is a connection to the registry. While there is one it returns
// nil at once, also if ctx has ended. Its error says why the latest attempt to have one
// failed, and matches [ErrRegistryLost], and [ErrHandshake] if what answers refuses the
// node: a registry of another ring, version, codec or size of IDs.
func (n *Node) WaitConnected(ctx context.Context) error {
	err := n.Await(ctx, func() bool {
		select {
		case <-n.disconnected:
			return false
		default:
			return true
		}
	})
	if err != nil {
		return fmt.Errorf("ringdht: node %d: %w: %w", n.ID(), n.outageError(), err)
	}
	return nil
}
