package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// namesFrom is the first seed of the worlds whose nodes have names, of which there are too few.
const namesFrom = 9_000_000_000

// TestSimulationOfNames runs worlds in which nodes ask for names that others have, and stand by.
func TestSimulationOfNames(t *testing.T) { simulate(t, *simFrom-1+namesFrom, 800) }

// names is what the worlds of names have in addition.
type names struct {
	*rand.Rand
	few   int
	whole int  // the largest ring in which the registry does not tell of services
	rest  bool // a process that gets no name at once goes without: the ring is to settle
}

func newNames(seed uint64) *names {
	r := rand.New(rand.NewPCG(seed, 14))
	return &names{Rand: r, few: pick(r, 1, 3, 10, 30), whole: pick(r, 1, 3, 8, 100)}
}

// draw draws what a process will say of itself.
func (x *names) draw() *ring.Info {
	if x == nil {
		return nil
	}
	name := ""
	if x.IntN(4) > 0 {
		name = fmt.Sprint("n", x.IntN(x.few))
	}
	return ring.NewInfo(name, []ring.Tag{{Key: "zone", Value: fmt.Sprint(x.IntN(3))}}[:x.IntN(2)], []string{"a", "b", "c"}[:x.IntN(4)])
}

// services are those that a process may handle, and whose members it may want to know.
var services = []string{"a", "b", "c"}

// follows has the services whose members a process wants to know.
func (p *process) follows() *ring.Info {
	return ring.NewInfo("", nil, slices.Sorted(slices.Values(p.uses)))
}

// beginUsing draws services whose members a process wants to know from the start. It asks for others later.
func (p *process) beginUsing() {
	x := p.w.names
	if x == nil {
		return
	}
	order := x.Perm(len(services))
	for range x.IntN(len(services) + 1) {
		p.uses, order = append(p.uses, services[order[0]]), order[1:]
	}
	for _, s := range order {
		if x.IntN(2) == 0 {
			continue
		}
		p.after(Time(x.Int64N(int64(20*p.w.lease))), func() {
			if p.w.quiet {
				return
			}
			p.uses = append(p.uses, services[s])
			if c := p.join.conn; c != nil && c.welcome {
				c.sendToRegistry(control.Follow{Services: []string{services[s]}})
			}
		})
	}
}

// followLater tells the registry of services that were asked for since the process has asked it to register.
func (p *process) followLater(c *conn) {
	c.welcome = true
	if later := p.uses[c.follows:]; len(later) > 0 {
		c.sendToRegistry(control.Follow{Services: slices.Sorted(slices.Values(later))})
	}
}

// untold is a service whose members a node has asked for and not been told, though the ring is large, or "".
func (j *judge) untold(n *node) string {
	if j.w.names == nil || j.w.registry.auth.Len() <= j.w.names.whole {
		return ""
	}
	for _, s := range n.p.uses {
		if _, told := n.local.HandlersOf(s); !told {
			return s
		}
	}
	return ""
}

// nameRefused is called when a registry refuses a name. The process stands by, or goes without.
func (p *process) nameRefused() {
	p.w.count.standby++
	if p.w.names.rest || p.w.names.IntN(20) == 0 {
		p.info = p.info.Named("")
	}
}

// checkNames checks that of two members one at most has a name, and that the registry finds it.
func (j *judge) checkNames(r *registry) {
	if j.w.names == nil {
		return
	}
	holders := make(map[string]ring.Ref)
	for _, m := range r.auth.All() {
		info := r.auth.Info(m.Ref())
		if x := j.incarnations[m.Ref()]; x != nil && x.n != nil && x.n.info != info {
			j.fail("registry %d believes that %v says %+v, and not %+v", r.gen, m.Ref(), info, x.n.info)
		}
		name := info.NameOf()
		if name == "" {
			continue
		}
		if was, twice := holders[name]; twice {
			j.fail("%v and %v have the name %q", was, m.Ref(), name)
		}
		holders[name] = m.Ref()
		if found, _, ok := r.auth.Named(name); ok && found.Ref() != m.Ref() {
			j.fail("the registry finds %v by the name %q of %v", found.Ref(), name, m.Ref())
		}
	}
}

// checkRefusedName is called when a registry refuses a name.
func (j *judge) checkRefusedName(r *registry, asked register) {
	for _, m := range r.auth.All() {
		if r.auth.Info(m.Ref()).NameOf() == asked.Info.NameOf() {
			return
		}
	}
	j.fail("registry %d refuses the name %q, which no member has", r.gen, asked.Info.NameOf())
}

// namesake says that another incarnation has had the name of one, so that a registry may have had to end
// one of the two.
func (j *judge) namesake(x *incarnation) bool {
	if x.n == nil || x.n.info.NameOf() == "" {
		return false
	}
	return slices.ContainsFunc(j.all, func(y *incarnation) bool {
		return y.n != nil && y.ref.Incarnation > x.ref.Incarnation && y.n.info.NameOf() == x.n.info.NameOf()
	})
}

// version is a list of members: of a ring, and of an epoch.
type version struct {
	ring  ring.Identity
	epoch uint64
}

// checkList checks that all nodes with one epoch have the same list of members.
func (j *judge) checkList(n *node) {
	l := n.local
	if l.ListEpoch == 0 || n.p.old && j.w.leaves != nil {
		return
	}
	if l.ListEpoch < n.listEpoch {
		j.fail("the list of %v is of epoch %d after %d", n.ref, l.ListEpoch, n.listEpoch)
	}
	n.listEpoch = l.ListEpoch
	list := refsOf(l)
	j.checkServices(n)
	at := version{l.Identity, l.ListEpoch}
	if known, ok := j.lists[at]; !ok {
		j.lists[at] = list
	} else if known != list {
		j.fail("the list of %v is %s, and others have %s at the same epoch, %d", n.ref, list, known, l.ListEpoch)
	}
}

// checkServices checks that a list of the members that handle a service has those of the whole list.
func (j *judge) checkServices(n *node) {
	for _, s := range n.local.Follows {
		told, ok := n.local.HandlersOf(s)
		if !ok {
			continue
		}
		if !slices.Contains(n.p.uses, s) {
			j.fail("%v was told who handles %q, and has not asked", n.ref, s)
		}
		j.w.count.services++
		want := slices.DeleteFunc(slices.Collect(n.local.Others.All()), func(m ring.Listed) bool { return !m.Info.Handles(s) || !n.local.Serves(m.Ref) })
		got := slices.DeleteFunc(slices.Collect(told.All()), func(m ring.Listed) bool { return m.ID == n.ref.ID })
		if !slices.EqualFunc(got, want, func(x, y ring.Listed) bool {
			return x.Ref == y.Ref && x.Info.NameOf() == y.Info.NameOf() && x.Info.Profile() == y.Info.Profile()
		}) {
			j.fail("%v was told that %v handle %q at epoch %d, and lists %v", n.ref, got, s, n.local.ListEpoch, want)
		}
	}
}

// refsOf writes down a list with the node itself, and what the members say.
func refsOf(l *membership.NodeView) string {
	all := slices.DeleteFunc(slices.Collect(l.Others.All()), func(m ring.Listed) bool { return !l.Serves(m.Ref) })
	if l.Listed {
		all = append(all, ring.Listed{Ref: l.Self})
	}
	slices.SortFunc(all, func(x, y ring.Listed) int { return cmp.Compare(x.ID, y.ID) })
	var text strings.Builder
	for _, m := range all {
		text.WriteString(fmt.Sprintf(" %d/%d", m.ID, m.Incarnation))
	}
	return text.String()
}

// wrongInfo is a member of which a view has what it does not say, or "".
func (j *judge) wrongInfo(l *membership.NodeView) string {
	for m := range l.Others.All() {
		x := j.incarnations[m.Ref]
		if x == nil || x.n == nil {
			continue
		}
		if m.Info.NameOf() != x.n.info.NameOf() || m.Info.Profile() != x.n.info.Profile() {
			return fmt.Sprintf("%v says %+v, not %+v", m.Ref, x.n.info, m.Info)
		}
	}
	return ""
}
