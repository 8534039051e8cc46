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
	why  error               // the latest attempt failed
	told map[string]struct{} // reasons that were logged
}

// failed takes the reason of an attempt that failed, and says whether it is a new one.
func (o *outage) failed(err error) (fresh bool) {
	o.why = shortened(err)
	reason := handshake.ReasonOf(err)
	if _, told := o.told[reason]; told || len(o.told) >= maxReasons {
		return false
	}
	if o.told == nil {
		o.told = make(map[string]struct{})
	}
	o.told[reason] = struct{}{}
	return true
}

// shortened bounds the text of an error, which may be another's.
func shortened(err error) error {
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

// unreached takes note that the registry could not be reached, or refused the node.
func (n *Node) unreached(err error) {
	n.mu.Lock()
	fresh := n.outage.failed(err)
	n.mu.Unlock()
	switch {
	case !fresh:
	case isRefusal(err):
		n.cfg.Log.Warn("the registry refuses this node, which keeps trying", "node", n.Peer(), "err", shortened(err))
	default:
		n.cfg.Log.Warn("the registry cannot be reached, trying to reconnect", "node", n.Peer(), "err", shortened(err))
	}
}

// whyLost is [ErrRegistryLost] with the latest reason, if there is one.
func (n *Node) whyLost() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outage.why == nil {
		return errs.ErrRegistryLost
	}
	return fmt.Errorf("%w (%w)", errs.ErrRegistryLost, n.outage.why)
}

// Disconnected is closed while the connection to the registry is lost. Messages flow on
// meanwhile, and the dead are routed around, but nobody can join. The node connects
// again by itself; then Disconnected returns another channel, see [Node.WaitConnected].
func (n *Node) Disconnected() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lost
}

// WaitConnected waits until there is a connection to the registry. While there is one it returns
// nil at once, also if ctx has ended. Its error says why the latest attempt to have one
// failed, and matches [ErrRegistryLost], and [ErrHandshake] if what answers refuses the
// node: a registry of another ring, version, codec or size of IDs.
func (n *Node) WaitConnected(ctx context.Context) error {
	err := n.Await(ctx, func() bool {
		select {
		case <-n.lost:
			return false
		default:
			return true
		}
	})
	if err != nil {
		return fmt.Errorf("ringdht: node %d: %w: %w", n.ID(), n.whyLost(), err)
	}
	return nil
}
