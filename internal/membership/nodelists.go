package membership

import (
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// Announce is the view after the registry told the node which members came and went.
// random is as Draw in [Config]. It takes time and memory in proportion to the announcement, and
// hardly to the ring: see [ring.List].
func (l *NodeView) Announce(a control.Announce, random func(n uint64) uint64) *NodeView {
	next := *l
	next.Members = control.Int(a.Members)
	for _, inc := range a.Incarnations {
		next.Newest = max(next.Newest, inc)
	}
	next.Over = l.rememberOver(a.Gone, a.Signatures, a.Epoch)
	if a.ListEpoch == 0 && l.ListEpoch > 0 { // to this node alone: the list is that of its epoch
		return &next
	}
	if l.versioned && a.ListEpoch > 0 && a.ListEpoch == l.ListEpoch { // what came before it is of the present list
		next.applyHandlers(l.services)
		return &next
	}
	next.countList(a.ListEpoch, l.services)
	// First the members that went: one that is back may have the same ID.
	next.Others = l.Others.Without(slices.Concat(a.Left, a.Gone)...)
	newcomers := announceListing(&a).members()
	newcomers = slices.DeleteFunc(newcomers, func(m ring.Listed) bool {
		next.Listed = next.Listed || m.Ref == l.Self && !l.Leaves
		return m.ID == l.Self.ID
	})
	if next.Others.Len()+len(newcomers) <= control.MaxOthers {
		next.Others = next.Others.With(newcomers...)
	} else {
		next.Others = sample(next.Others, newcomers, uint64(max(1, a.Members)), random)
	}
	next.noteSize()
	next.noteLeaving(a.Leaving)
	return &next
}

// noteLeaving takes members that are about to leave off those that serve.
func (l *NodeView) noteLeaving(more []ring.Ref) {
	if l.Leaving.Len() == 0 && len(more) == 0 {
		return
	}
	var leaving []ring.Listed
	add := func(ref ring.Ref) {
		if o, ok := l.Others.Find(ref.ID); ok && o.Ref == ref {
			leaving = append(leaving, o)
		}
	}
	for m := range l.Leaving.All() {
		add(m.Ref)
	}
	for _, ref := range more {
		if ref == l.Self {
			l.Listed, l.Leaves = false, true
		}
		add(ref)
	}
	l.Leaving = (*ring.List)(nil).With(leaving...)
}

// sample puts newcomers on a list that has no room for all of them. Some take the places of others,
// so that it stays a fair sample of the ring, which has this many members.
func sample(list *ring.List, newcomers []ring.Listed, members uint64, random func(n uint64) uint64) *ring.List {
	var known, fresh []ring.Listed // by whether their IDs are on the list
	for _, m := range newcomers {
		if _, on := list.Find(m.ID); on {
			known = append(known, m)
		} else {
			fresh = append(fresh, m)
		}
	}
	list = list.With(known...)
	// Places are those of the list, and then those behind its end.
	taken := make(map[int]ring.Listed)
	size := list.Len()
	for _, m := range fresh {
		if size < control.MaxOthers {
			taken[size] = m
			size++
		} else if place := random(members); place < control.MaxOthers {
			taken[int(place)] = m
		}
	}
	var off []ring.Ref
	fresh = fresh[:0]
	for place, m := range taken {
		if fresh = append(fresh, m); place < list.Len() {
			off = append(off, list.At(place).Ref)
		}
	}
	return list.Without(off...).With(fresh...)
}
