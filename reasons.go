package ringdht

import (
	"errors"
	"fmt"
	"net"
)

// reasonOf is an error's text without what differs each time, such as ports: by it one
// tells whether a reason has changed.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return brief(op.Op + ": " + op.Err.Error())
	}
	return brief(err.Error())
}

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
	reason := reasonOf(err)
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
	if text := err.Error(); len(brief(text)) < len(text) {
		return &shortError{err, brief(text)}
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
	if errors.Is(err, ErrHandshake) {
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
		n.cfg.log.Warn("the registry refuses this node, which asks again and again", "node", n.Peer(), "err", shortened(err))
	default:
		n.cfg.log.Warn("the registry cannot be reached, looking for it", "node", n.Peer(), "err", shortened(err))
	}
}

// whyLost is [ErrRegistryLost] with the latest reason, if there is one.
func (n *Node) whyLost() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outage.why == nil {
		return ErrRegistryLost
	}
	return fmt.Errorf("%w (%w)", ErrRegistryLost, n.outage.why)
}
