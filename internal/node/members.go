package node

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

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
		err = control.CheckUses(services, uses) // it may ask for all of them
	}
	if err != nil {
		return fmt.Errorf("what the node says of itself: %w", err)
	}
	n.info, n.registered = ring.NewInfo(n.cfg.Name, tags, services), append(services, uses...)
	return nil
}

// follows are the services whose members the node wants to know. A registry is told with Register, and
// of further ones with Follow: it sends the lists only to nodes that use them.
type follows struct {
	mu   sync.Mutex // a leaf; guards what follows
	all  []string   // in the order in which they were asked for
	told int        // of all: those in the latest Register
}

// ask adds a service, and reports whether it is a new one.
func (f *follows) ask(service string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	isNew := !slices.Contains(f.all, service)
	if isNew {
		f.all = append(f.all, service)
	}
	return isNew
}

// register returns all for a Register.
func (f *follows) register() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = len(f.all)
	return slices.Sorted(slices.Values(f.all))
}

// later returns those that are not in the latest Register.
func (f *follows) later() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.all[f.told:]))
}

// follow asks for the members that handle a service, at the first call. Before the node has a connection
// it is noted only, see [Node.connect].
func (n *Node) follow(service string) {
	if service != "" && n.follows.ask(service) {
		n.Tell(control.TypeFollow, control.Follow{Services: []string{service}})
	}
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
// epoch of the list: members with the same epoch have the same list. It is 0 while the list may lack
// some: in a large ring until the registry has told it, and once the incarnation is over. Of the service
// with the empty name they are all members.
func (n *Node) ServiceMembers(service string) ([]status.MemberInfo, uint64) {
	return n.inc.Load().membersOf(service)
}

// membersOf is ServiceMembers, all of it as one incarnation knows it.
func (inc *incarnation) membersOf(service string) ([]status.MemberInfo, uint64) {
	inc.n.follow(service)
	now := inc.sightOf(service)
	if inc.ctx.Err() != nil || service == "" && now.View.Sampled() { // others may list this incarnation still, or have another sample
		now.Epoch = 0
	}
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
	} else if service != "" && view.Sampled() {
		sight.Part, sight.Epoch = true, 0
	}
	return sight
}

// WatchService is Watch for the members that handle a service. The node itself is one of them if it
// handles it, once it is announced to all.
func (n *Node) WatchService(ctx context.Context, service string) iter.Seq[status.MemberEvent] {
	return n.watch(ctx, service, func(inc *incarnation) membership.Sight {
		n.follow(service)
		return inc.sightOf(service)
	})
}
