package sim

import (
	"slices"

	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// checkViews compares the views that the registry keeps with its members.
func (j *judge) checkViews(r *registry) {
	a := r.auth
	if !a.Live() || a.Recovering() {
		return
	}
	var tables []ring.Ref
	all := a.All()
	views := make(map[uint64]ring.View, len(all))
	for _, m := range all {
		if v, ok := a.View(m.ID); ok {
			views[m.ID] = v
			tables = append(tables, m.Ref())
		}
	}
	members := tables
	tables = slices.DeleteFunc(slices.Clone(tables), func(r ring.Ref) bool { return isStub(a, r) })
	n := len(tables)
	for _, self := range members {
		i, others := positionBefore(tables, self)
		v := views[self.ID]
		if want := min(others, ring.Successors); len(v.Successors) != want {
			j.fail("the view of %v has %d successors, want %d: %v", self, len(v.Successors), want, tables)
			return
		}
		for k, s := range v.Successors {
			if s != tables[(i+k+1)%n] {
				j.fail("successor %d of %v is %v: %v", k, self, s, tables)
				return
			}
		}
		last := uint64(0)
		for k, e := range v.Entries {
			d := ring.Distance(ring.Mask(j.w.bits), self.ID, e.ID)
			if !slices.Contains(tables, e) || d <= last {
				j.fail("entry %d of %v is %v: %v of %v", k, self, e, v.Entries, tables)
				return
			}
			last = d
		}
	}
	if j.announcedDeaths > 0 && len(a.Unsettled()) == 0 {
		j.resurrect()
	}
	// When all messages have arrived, a node has the view that the registry believes that it
	// has.
	for _, c := range j.w.conns {
		if v, ok := views[c.ref.ID]; ok && c.r == r && c.bound && !c.nodeClosed && !c.regClosed && len(c.down.queue) == 0 &&
			r.sessions[c.ref] == c && c.p.node != nil && c.p.node.ref == c.ref && slices.Contains(members, c.ref) && c.p.state == running {
			l := c.p.node.local
			if !same(l.Entries, v.Entries) || !same(l.Successors, v.Successors) || !slices.Equal(stubIDs(l), a.LastHops(c.ref.ID)) {
				j.fail("%v was told %v and %v, the registry believes %v", c.ref, l.Entries, l.Successors, v)
				return
			}
		}
	}
}

func same(told []ring.Peer, want []ring.Ref) bool {
	return slices.EqualFunc(told, want, func(p ring.Peer, r ring.Ref) bool { return p.Ref() == r })
}

// ideal says what is wrong with the ring when there are no faults any more. It returns "" if
// nothing is.
func (j *judge) ideal() string {
	w := j.w
	r := w.registry
	a := r.auth
	alive := w.alive()
	switch {
	case a.Recovering():
		return "the registry is recovering"
	case !a.Live():
		return "there is no ring"
	case j.strayNode() != "":
		return j.strayNode()
	case a.Len() != len(alive):
		return sprintf("%d members, %d processes", a.Len(), len(alive))
	case len(a.Unsettled()) > 0:
		return a.Unsettled()[0]
	case a.Lagging() > 0:
		return sprintf("%d entries lag behind", a.Lagging())
	case len(a.Unreachable()) > 0:
		return sprintf("unreachable pairs: %v", a.Unreachable())
	case len(a.WithoutDetour()) > 0:
		return sprintf("pairs without a detour: %v", a.WithoutDetour())
	}
	all := a.All()
	tables := slices.DeleteFunc(a.All(), func(m ring.Member) bool { return isStub(a, m.Ref()) })
	n := len(tables)
	layout := a.Layout()
	if fits := layout.For(n); !fits.Equal(layout) {
		return sprintf("a ring of %d needs the layout %+v, it has %+v", n, fits, layout)
	}
	var refs []ring.Ref
	for _, m := range tables {
		refs = append(refs, m.Ref())
	}
	for at, m := range all {
		var entries, successors []ring.Ref
		i, others := positionBefore(refs, m.Ref())
		for _, p := range layout.Offsets.AppendPositions(nil, n, i) {
			entries = append(entries, refs[p])
		}
		for s := 1; s <= ring.Successors && s <= others; s++ {
			successors = append(successors, refs[(i+s)%n])
		}
		var lastHops []ring.Ref // the stubs that follow it
		for k := 1; k < len(all) && isStub(a, all[(at+k)%len(all)].Ref()); k++ {
			lastHops = append(lastHops, all[(at+k)%len(all)].Ref())
		}
		x := j.incarnations[m.Ref()]
		l := x.n.local
		switch {
		case x.n.departing:
			return sprintf("%v is about to leave", m.Ref())
		case x.isOver():
			return sprintf("%v is over", m.Ref())
		case j.untold(x.n) != "":
			return sprintf("%v was not told who handles %q", m.Ref(), j.untold(x.n))
		case !same(l.Entries, entries) || !same(l.Successors, successors):
			return sprintf("the tables of %v are %v and %v, want %v", m.Ref(), l.Entries, l.Successors, entries)
		case !same(l.Stubs, lastHops):
			return sprintf("the stubs of %v are %v, want %v", m.Ref(), l.Stubs, lastHops)
		case slices.ContainsFunc(lastHops, func(s ring.Ref) bool { return x.n.linkTo(s) == nil }):
			return sprintf("%v has no link to a stub of %v", m.Ref(), lastHops)
		case j.wrongAddress(append(l.Entries[:len(l.Entries):len(l.Entries)], l.Successors...)) != "":
			return sprintf("%v has a wrong address: %s", m.Ref(), j.wrongAddress(append(l.Entries[:len(l.Entries):len(l.Entries)], l.Successors...)))
		case w.byAddr[m.Addr] != x.p:
			return sprintf("%v is not at %s, but at %s", m.Ref(), m.Addr, x.p.addr)
		case x.n.use.Epoch != l.Epoch:
			return sprintf("%v uses epoch %d instead of %d", m.Ref(), x.n.use.Epoch, l.Epoch)
		case len(x.n.dials) > 0:
			return sprintf("%v still dials %v", m.Ref(), x.n.dials[0].peer)
		case !x.n.ready:
			return sprintf("%v was not told that it is ready", m.Ref())
		case l.Others.Len() != len(all)-1 || l.Members != len(all):
			return sprintf("%v knows %d others in a ring of %d, and was told that they are %d", m.Ref(), l.Others.Len(), len(all), l.Members)
		case !areMembers(l, all):
			return sprintf("%v lists incarnations that are over: %v", m.Ref(), slices.Collect(l.Others.All()))
		case j.wrongInfo(l) != "":
			return sprintf("%v has a wrong list: %s", m.Ref(), j.wrongInfo(l))
		case !l.Listed:
			return sprintf("%v does not know that it is on the lists", m.Ref())
		case n > 1 && x.n.linkTo(successors[0]) == nil:
			return sprintf("%v has no link to its successor", m.Ref())
		case x.n.p.join.conn == nil:
			return sprintf("%v is not connected", m.Ref())
		case !x.n.authoritative():
			return sprintf("%v is not authoritative", m.Ref())
		}
	}
	return ""
}

// areMembers reports whether a view lists the incarnations of members only.
func areMembers(l *membership.NodeView, all []ring.Member) bool {
	incs := make(map[uint64]uint64, len(all))
	for _, m := range all {
		incs[m.ID] = m.Incarnation
	}
	for m := range l.Others.All() {
		if incs[m.ID] != m.Incarnation {
			return false
		}
	}
	return true
}
