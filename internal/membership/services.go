package membership

import (
	"fmt"
	"maps"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// In a ring that is larger than a list, lists are samples. So members are told, besides, all members that
// handle the services which they have registered: all at first, and then each change. It comes before
// the message with the list of the same epoch, and the node applies both at once. A list that was a
// sample may stay one in a ring that has shrunk, so a member that was told once is told all changes,
// until it gets a manifest.

// handlers is a message about the members that handle a service. Its parts are encoded once.
type handlers []*announcement

// change is what an announcement changes for a service.
type serviceChange struct {
	added []*member
	gone  []ring.Ref
}

// large says that lists are samples now.
func (a *Authority) large() bool {
	most := control.MaxOthers
	if a.MaxWhole > 0 {
		most = a.MaxWhole
	}
	return a.announcedCount > most
}

// follows lists the services that a member has registered.
func (a *Authority) follows(m *member) []string {
	p := m.follows.Profile()
	list, known := a.followLists[p]
	if !known {
		list = m.follows.Services()
		a.followLists[p] = list
	}
	return list
}

// tellServices tells all members what an announcement changes. The members that it adds count already,
// and those that are about to leave do not serve any more.
func (a *Authority) tellServices(added, ended, leaving []*member) {
	a.announcedCount += len(added) - len(ended)
	clear(a.wholes)
	clear(a.followLists)
	if a.following == 0 {
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
	large := a.large()
	for _, m := range a.sortedMembers() {
		switch {
		case m.status == waiting || m.follows == nil:
		case m.toldServices:
			for _, s := range a.follows(m) {
				if c := changes[s]; c != nil {
					if news[s] == nil {
						news[s] = a.handlers(s, false, c.added, c.gone)
					}
					a.pass(m, news[s])
				}
			}
		case large:
			a.tellWhole(m)
		}
	}
}

// tellWhole tells a member all members that handle the services which it has registered, before the list
// of the present epoch.
func (a *Authority) tellWhole(m *member) {
	if m.toldServices = m.follows != nil && a.large(); !m.toldServices {
		return
	}
	for _, s := range a.follows(m) {
		if a.wholes[s] == nil {
			var all []*member
			for _, o := range a.sortedMembers() {
				if o.serves() && o.info.Handles(s) {
					all = append(all, o)
				}
			}
			for _, o := range a.listed {
				if o.serves() && o.info.Handles(s) {
					all = append(all, o)
				}
			}
			a.wholes[s] = a.handlers(s, true, all, nil)
		}
		a.pass(m, a.wholes[s])
	}
}

// handlers makes the message about a service, in parts that a node takes.
func (a *Authority) handlers(service string, whole bool, added []*member, gone []ring.Ref) (parts handlers) {
	for first := true; first || len(added) > 0; first = false {
		l := list(added[:min(len(added), control.MaxOthers)])
		added = added[len(l.ids):]
		parts = append(parts, &announcement{body: control.Handlers{
			ListEpoch: a.listEpoch, Service: service, Whole: whole && first, Gone: gone,
			Added: l.ids, Incarnations: l.incs, Idle: l.idle, Names: l.names, ProfileOf: l.profileOf, Profiles: l.profiles,
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
	next.pending = append(slices.Clip(l.pending), h)
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
	return l.inSpace(h.Added, h.Idle)
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
	return listing{h.Added, h.Incarnations, h.Idle, h.Names, h.ProfileOf, h.Profiles}
}

// applyHandlers applies the messages about services that belong to the list of this view.
func (l *NodeView) applyHandlers(services map[string]*ring.List) {
	l.services = services
	if len(l.pending) == 0 {
		return
	}
	l.services = maps.Clone(services)
	if l.services == nil {
		l.services = make(map[string]*ring.List)
	}
	for _, h := range l.pending {
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
// if the registry has told none: then the list of members is whole, or the node has not registered the service.
func (l *NodeView) HandlersOf(service string) (*ring.List, bool) {
	list, told := l.services[service]
	return list, told
}
