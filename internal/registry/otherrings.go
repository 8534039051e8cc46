package registry

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// maxOtherRings bounds the members of other rings that a registry lists. Further ones are only
// logged.
const maxOtherRings = 256

// otherRings are the members of other rings that have asked to be taken in of late. Guarded by
// Registry.mu.
type otherRings struct {
	nodes map[ring.Ref]*status.OtherRing
}

// note lists a node, and reports whether it was not listed.
func (o *otherRings) note(ref ring.Ref, node status.OtherRing, lease time.Duration) (isNew bool) {
	if known := o.nodes[ref]; known != nil {
		node.Since = known.Since
		*known = node
		return false
	}
	o.forget(node.Heard, lease)
	if len(o.nodes) >= maxOtherRings {
		return false
	}
	if o.nodes == nil {
		o.nodes = make(map[ring.Ref]*status.OtherRing)
	}
	o.nodes[ref] = &node
	return true
}

// forget drops nodes that have not come for a while: they have found their own registry, or
// have joined this ring. They come at least every half lease, or five seconds.
func (o *otherRings) forget(now time.Time, lease time.Duration) {
	for ref, node := range o.nodes {
		if now.Sub(node.Heard) > 4*lease+10*time.Second {
			delete(o.nodes, ref)
		}
	}
}

// drop forgets the node at an address, which has joined.
func (o *otherRings) drop(addr string) {
	for ref, node := range o.nodes {
		if node.Node.Addr == addr {
			delete(o.nodes, ref)
		}
	}
}

func (o *otherRings) list(now time.Time, lease time.Duration) []status.OtherRing {
	o.forget(now, lease)
	list := make([]status.OtherRing, 0, len(o.nodes))
	for _, node := range o.nodes {
		list = append(list, *node)
	}
	slices.SortFunc(list, func(a, b status.OtherRing) int {
		return cmp.Or(cmp.Compare(a.Node.ID, b.Node.ID), cmp.Compare(a.Incarnation, b.Incarnation))
	})
	return list
}

// refuseOtherRing refuses a member of another ring for a reason, lists it, and tells the operator why
// in full.
func (s *session) refuseOtherRing(req control.Register, reason, full string) error {
	r := s.r
	now := time.Now()
	node := status.OtherRing{
		Node: status.Peer{ID: status.ID(req.ID), Addr: req.Addr}, Incarnation: req.Incarnation, Identity: req.Identity, Since: now, Heard: now,
	}
	own := r.identity()
	r.mu.Lock()
	if r.others.note(ring.Ref{ID: req.ID, Incarnation: req.Incarnation}, node, r.cfg.Lease) {
		r.recordQuietly(status.Event{
			Kind: status.EventOtherRing, Node: node.Node, Incarnation: node.Incarnation,
			Why: fmt.Sprintf("%s: after %d leases without its own registry it joins as a new node", full, membership.ForsakeLeases),
		})
		r.change()
	}
	r.mu.Unlock()
	r.cfg.WarnOften(req.Addr, "a member of another ring of this name wants to come back: two registries are in use, or this one has lost its state", "node", node.Node, "its identity", req.Identity, "identity", own, "why", reason)
	return s.refuse(control.CodeOtherRing, "%s", reason)
}

// identity is that of the ring, empty while there is none.
func (r *Registry) identity() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.members.Identity())
}
