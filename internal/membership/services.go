package membership

import (
	"fmt"
	"maps"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// In a ring that is larger than a list, lists are samples. So members are told, besides, all members that
// handle the services for which they have asked: all at first, and then each change. It comes before
// the message with the list of the same epoch, and the node applies both at once. A list that was a
// sample may stay one in a ring that has shrunk, so such a member is told all changes, until it gets a
// manifest.
//
// Rejected: to tell each member of all services that it handles or uses. A ring of 4,000 with one rpc
// endpoint each was sent 586 MB at its set-up, not 70, and many programs never look at such a list.

// handlers is a message about the members that handle a service. Its parts are encoded once.
type handlers []*announcement

// change is what an announcement changes for a service.
type serviceChange struct {
	added []*member
	gone  []ring.Ref
}

// large says that lists may be samples now, see [NodeView.Sampled]: of a ring with so many members that
// have a table.
func (a *Authority) large(active int) bool {
	most := control.MaxOthers
	if a.MaxWhole > 0 {
		most = a.MaxWhole
	}
	return active > most || a.announcedCount >= most
}

// Follow tells a member all members that handle these services, and from now on each change. It has asked
// for that, in a ring of any size.
func (a *Authority) Follow(ref ring.Ref, services []string) error {
	m := a.find(ref)
	if m == nil {
		return nil
	}
	before := a.follows(m)
	if err := control.CheckUses(nil, services); err != nil {
		return err
	}
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(before, services))))
	if err := control.CheckUses(m.info.Services(), all); err != nil {
		return err
	}
	a.setFollows(m, ring.NewInfo("", nil, all))
	if !m.sampled || m.needsManifest || m.status == waiting || len(all) == len(before) {
		return nil
	}
	if m.owedServices = a.listEpoch == 0; m.owedServices {
		return nil
	}
	for _, s := range all {
		if !slices.Contains(before, s) {
			a.pass(m, a.whole(s))
		}
	}
	a.send(m, control.TypeAnnounce, control.Announce{Epoch: a.epoch, Members: int64(len(a.activeMembers())), ListEpoch: a.listEpoch})
	return nil
}

func (a *Authority) setFollows(m *member, follows *ring.Info) {
	if m.follows != nil {
		a.following--
	}
	if m.follows = follows; follows != nil {
		a.following++
	}
}

// follows lists the services whose members a member wants to know.
func (a *Authority) follows(m *member) []string {
	p := m.follows.Profile()
	list, known := a.followLists[p]
	if !known {
		list = m.follows.Services()
		a.followLists[p] = list
	}
	return list
}

// tellServices tells all members what an announcement changes, to a ring of so many members that have a
// table. The members that it adds count already, and those that are about to leave do not serve any more.
func (a *Authority) tellServices(added, ended, leaving []*member, active int) {
	a.announcedCount += len(added) - len(ended)
	clear(a.wholes)
	clear(a.followLists)
	large := a.large(active)
	if a.following == 0 && !large {
		return
	}
	changes := make(map[string]*serviceChange)
	at := func(service string) *serviceChange {
		if changes[service] == nil {
			changes[service] = new(serviceChange)
		}
		return changes[service]
	}
	for _, m := range added {
		if !m.serves() {
			continue
		}
		for _, s := range m.info.Services() {
			at(s).added = append(at(s).added, m)
		}
	}
	for _, m := range slices.Concat(ended, leaving) {
		if m.unlistedAt > 0 && m.unlistedAt < a.listEpoch { // told before
			continue
		}
		for _, s := range m.info.Services() {
			at(s).gone = append(at(s).gone, m.Ref())
		}
	}
	news := make(map[string]handlers)
	for _, m := range a.sortedMembers() {
		switch {
		case m.status == waiting:
		case m.sampled && !m.owedServices:
			for _, s := range a.follows(m) {
				if c := changes[s]; c != nil {
					if news[s] == nil {
						news[s] = a.handlers(s, false, c.added, c.gone)
					}
					a.pass(m, news[s])
				}
			}
		case large || m.owedServices:
			a.tellWhole(m, true)
		}
	}
}

// tellWhole tells a member all members that handle the services for which it has asked, before the list
// of the present epoch.
func (a *Authority) tellWhole(m *member, large bool) {
	if m.sampled, m.owedServices = large, false; !large {
		return
	}
	for _, s := range a.follows(m) {
		a.pass(m, a.whole(s))
	}
}

// whole is the message with all members that handle a service, at the present epoch of the lists.
func (a *Authority) whole(service string) handlers {
	if a.wholes[service] == nil {
		var all []*member
		for _, o := range a.sortedMembers() {
			if o.serves() && o.info.Handles(service) {
				all = append(all, o)
			}
		}
		for _, o := range a.listed {
			if o.serves() && o.info.Handles(service) {
				all = append(all, o)
			}
		}
		a.wholes[service] = a.handlers(service, true, all, nil)
	}
	return a.wholes[service]
}

// handlers makes the message about a service, in parts that a node takes.
func (a *Authority) handlers(service string, whole bool, added []*member, gone []ring.Ref) (parts handlers) {
	for first := true; first || len(added) > 0; first = false {
		l := list(added[:min(len(added), control.MaxOthers)])
		added = added[len(l.ids):]
		parts = append(parts, &announcement{body: control.Handlers{
			ListEpoch: a.listEpoch, Service: service, Whole: whole && first, Gone: gone,
			Added: l.ids, Incarnations: l.incs, Names: l.names, ProfileOf: l.profileOf, Profiles: l.profiles,
		}})
		gone = nil
	}
	return parts
}

func (a *Authority) pass(m *member, parts handlers) {
	for _, p := range parts {
		a.emit(Effect{Kind: Send, Ref: m.Ref(), Type: control.TypeHandlers, Body: p.body, Frame: &p.frame})
	}
}

// maxPending bounds the members of the messages about services that wait for the list of their epoch.
const maxPending = 1 << 20

// told is what was told of services and waits for the list of its epoch, the latest first.
type told struct {
	before *told
	control.Handlers
}

// Sampled reports whether the list of members may be a sample: the ring was so large with the latest
// manifest, or since. Then the registry tells of the services for which the node has asked.
func (l *NodeView) Sampled() bool { return l.sampled }

func (l *NodeView) noteSize() {
	l.sampled = l.sampled || l.Members > control.MaxOthers || l.Others.Len() >= control.MaxOthers
}

// Handlers is the view after the registry told of a service. It changes nothing before the list of the
// same epoch comes. Of services that the node has not registered it keeps nothing.
func (l *NodeView) Handlers(h control.Handlers) (*NodeView, error) {
	if err := l.checkHandlers(&h); err != nil {
		return nil, err
	}
	if !slices.Contains(l.Follows, h.Service) {
		return l, nil
	}
	next := *l
	if next.pendingSize += len(h.Added) + len(h.Gone) + 1; next.pendingSize > maxPending {
		return nil, fmt.Errorf("messages about services with more than %d members, and no list", maxPending)
	}
	next.pending = &told{l.pending, h}
	return &next, nil
}

func (l *NodeView) checkHandlers(h *control.Handlers) error {
	if err := handlersListing(h).check(); err != nil {
		return err
	}
	if err := countable(h.Incarnations); err != nil {
		return err
	}
	if err := l.refsInSpace(h.Gone); err != nil {
		return err
	}
	return l.inSpace(h.Added)
}

// countList notes the epoch of an announcement, with what came of services. A node that leaves gets no
// manifest from a new registry. Its list has no epoch any more: it may have members that have not come back.
func (l *NodeView) countList(epoch uint64, services map[string]*ring.List) {
	if !l.versioned || epoch != l.ListEpoch+1 {
		l.versioned, l.ListEpoch, l.services, l.pending, l.pendingSize = false, 0, nil, nil, 0
		return
	}
	l.ListEpoch = epoch
	l.applyHandlers(services)
}

func handlersListing(h *control.Handlers) listing {
	return listing{h.Added, h.Incarnations, nil, h.Names, h.ProfileOf, h.Profiles}
}

// applyHandlers applies the messages about services that belong to the list of this view.
func (l *NodeView) applyHandlers(services map[string]*ring.List) {
	l.services = services
	if l.pending == nil {
		return
	}
	l.services = maps.Clone(services)
	if l.services == nil {
		l.services = make(map[string]*ring.List)
	}
	var inOrder []control.Handlers
	for t := l.pending; t != nil; t = t.before {
		inOrder = append(inOrder, t.Handlers)
	}
	for _, h := range slices.Backward(inOrder) {
		if h.ListEpoch != l.ListEpoch {
			continue
		}
		known := l.services[h.Service]
		if h.Whole {
			known = nil
		}
		l.services[h.Service] = known.Without(h.Gone...).With(handlersListing(&h).members()...)
	}
	l.pending, l.pendingSize = nil, 0
}

// HandlersOf is the list of all members that handle a service, perhaps with the node itself. It is false
// if the registry has told none: then the list of members is whole, or the node has not asked for the service.
func (l *NodeView) HandlersOf(service string) (*ring.List, bool) {
	list, told := l.services[service]
	return list, told
}
