package node

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// describe makes what the node says of itself from its configuration. The service with the empty name is
// that of all members.
func (n *Node) describe() error {
	var services, uses []string
	for _, s := range n.cfg.Services {
		switch {
		case s.Name == "":
		case s.Handler != nil:
			services = append(services, s.Name)
		default:
			uses = append(uses, s.Name)
		}
	}
	slices.Sort(services)
	slices.Sort(uses)
	tags := control.Tags(n.cfg.Tags)
	err := control.CheckInfo(n.cfg.Name, tags, services)
	if err == nil {
		err = control.CheckUses(services, uses)
	}
	if err != nil {
		return fmt.Errorf("what the node says of itself: %w", err)
	}
	n.info, n.uses = ring.NewInfo(n.cfg.Name, tags, services), uses
	return nil
}

// Self is what others see of the node.
func (n *Node) Self() status.MemberInfo { return n.inc.Load().described() }

// described is what others see of the incarnation.
func (inc *incarnation) described() status.MemberInfo {
	return new(membership.Describer).Describe(inc.ref(), inc.n.address(), inc.info)
}

func (inc *incarnation) ref() ring.Ref {
	return ring.Ref{ID: inc.self.ID, Incarnation: inc.self.Incarnation}
}

// Members are the other members, or a sample of them, clockwise.
func (n *Node) Members() []status.MemberInfo {
	local := n.inc.Load().local.Load()
	return describeAll(local, local.Others, func(ring.Listed) bool { return true })
}

// describeAll describes members of a list, clockwise from the node, but for those about to leave.
func describeAll(local *membership.NodeView, list *ring.List, chosen func(ring.Listed) bool) []status.MemberInfo {
	all := make([]status.MemberInfo, 0, list.Len())
	describe := local.Describer()
	for _, smaller := range []bool{false, true} { // each list begins elsewhere
		for m := range list.All() {
			if m.ID < local.Self.ID == smaller && m.ID != local.Self.ID && local.Serves(m.Ref) && chosen(m) {
				all = append(all, describe(m.Ref, m.Info))
			}
		}
	}
	return all
}

// ServiceMembers are the members that handle a service, the node itself first if it does, and the
// epoch of the list: members with the same epoch have the same list. Of the service with the empty
// name they are all members.
func (n *Node) ServiceMembers(service string) ([]status.MemberInfo, uint64) {
	return n.inc.Load().membersOf(service)
}

// membersOf is ServiceMembers, all of it as one incarnation knows it.
func (inc *incarnation) membersOf(service string) ([]status.MemberInfo, uint64) {
	now := inc.sightOf(service)
	var all []status.MemberInfo
	if !now.Over {
		all = append(all, inc.described())
	}
	return append(all, describeAll(now.View, now.List, func(m ring.Listed) bool { return handles(m.Info, service) })...), now.Epoch
}

// handles reports whether a member handles a service.
func handles(info *ring.Info, service string) bool { return service == "" || info.Handles(service) }

// sightOf is what the incarnation knows of the members that handle a service.
func (inc *incarnation) sightOf(service string) membership.Sight {
	view := inc.local.Load()
	sight := view.Sight(inc.info, inc.ctx.Err() != nil || !view.Listed || !handles(inc.info, service))
	sight.Leaves = view.Leaves && inc.ctx.Err() == nil
	if list, told := view.HandlersOf(service); told {
		sight.List, sight.Whole = list, true
	}
	return sight
}

// WatchService is Watch for the members that handle a service. The node itself is one of them if it
// handles it, once it is announced to all.
func (n *Node) WatchService(ctx context.Context, service string) iter.Seq[status.MemberEvent] {
	return n.watch(ctx, service, func(inc *incarnation) membership.Sight { return inc.sightOf(service) })
}
