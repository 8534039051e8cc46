package membership

import (
	"cmp"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	shown "github.com/x/ringdht/status"
)

// Follower turns what a node knows of the ring, at one moment after another, into events. It
// compares the present with what it has told, so moments that are skipped cost nothing, and
// their changes cancel out. For each incarnation it tells one start and then one end at most.
// The end of an ID's incarnation comes before the start of the next one.
//
// It tells of at most [control.MaxOthers] other members at a time, or of those on a longer list. In a larger ring, others
// take the places of those that have ended.
type Follower struct {
	// HowEnded says how an incarnation has ended, as far as the node was told: false if it
	// was told of no end.
	HowEnded func(ring.Ref) (shown.MemberChange, bool)
	Service  string // only of members that handle it; "": of all

	self     ring.Ref   // told, and not ended; zero if there is none
	told     *ring.List // the others that were told and had not ended at the latest compare; perhaps with some that are not followed
	count    int        // of them, those that are followed, with the changes told since
	caughtUp bool       // all that was present at the start is told

	last    Sight
	list    *ring.List // of last, without the node itself
	exact   bool       // once changes are told, those told are those on list
	changes []change   // of last
	next    int        // of changes, the first that is not told
}

// change is an event that is not told yet.
type change struct {
	kind shown.MemberChange
	ref  ring.Ref
	info *ring.Info
	self bool
}

// keepChanges is the room for changes that a Follower keeps.
const keepChanges = 64

// Sight is what a node knows of the ring, or of the members that handle a service, at one moment.
type Sight struct {
	Self   ring.Ref   // the present incarnation, or the last
	Info   *ring.Info // what it says of itself
	Over   bool       // Self was declared dead, or it does not handle the service
	Leaves bool       // it is over since it is about to leave
	View   *NodeView  // what Self was told
	List   *ring.List // the other members
	Whole  bool       // the list lacks only members that have ended
	Part   bool       // the others are yet to be told: they count as present
	Epoch  uint64     // of the list
}

// Sight is what a node knows of the ring by its view. over says that the node was declared dead.
//
// A list that is shorter than the ring is a sample, or lacks members that a new registry has not
// announced yet.
func (l *NodeView) Sight(info *ring.Info, over bool) Sight {
	return Sight{Self: l.Self, Info: info, Over: over, View: l, List: l.Others, Whole: l.Epoch > 0 && l.Members <= l.Others.Len()+1, Epoch: l.ListEpoch}
}

// Next returns the next event, and false if all is told.
func (f *Follower) Next(now Sight) (shown.MemberEvent, bool) {
	if now != f.last {
		f.compare(now)
	}
	if f.next == len(f.changes) {
		f.caughtUp = f.caughtUp || !now.Part
		if f.exact { // the list is the node's, so that it takes no memory, and shares blocks with the next one
			f.told = f.list
		} else {
			f.apply()
		}
		f.changes, f.next = f.changes[:0], 0
		if cap(f.changes) > keepChanges {
			f.changes = nil
		}
		return shown.MemberEvent{}, false
	}
	c := f.changes[f.next]
	f.next++
	switch {
	case c.self && c.kind.Over():
		f.self = ring.Ref{}
	case c.self:
		f.self = c.ref
	case c.kind.Over():
		f.count--
	default:
		f.count++
	}
	return shown.MemberEvent{Change: c.kind, MemberInfo: now.View.Describe(c.ref, c.info), Self: c.self, Epoch: now.Epoch}, true
}

// apply puts the changes that were told into told.
func (f *Follower) apply() {
	var over []ring.Ref
	var begun []ring.Listed
	for _, c := range f.changes[:f.next] {
		switch {
		case c.self:
		case c.kind.Over():
			over = append(over, c.ref)
		default:
			begun = append(begun, ring.Listed{Ref: c.ref, Info: c.info})
		}
	}
	f.told = f.told.Without(over...).With(begun...)
}

// compare makes the events that lead from what was told to the present. It costs what has changed: the
// lists of before and of now share the rest.
func (f *Follower) compare(now Sight) {
	f.apply()
	f.last, f.changes, f.next = now, f.changes[:0], 0
	begins := shown.MemberJoined
	if !f.caughtUp {
		begins = shown.MemberPresent
	}

	var self, ends, starts []change
	if f.self != (ring.Ref{}) && (now.Over || f.self != now.Self) {
		how := shown.MemberDied
		if f.self == now.Self && now.Leaves {
			how = shown.MemberLeft
		}
		ends = append(ends, change{how, f.self, now.Info, true})
	}
	if !now.Over && f.self != now.Self {
		self = append(self, change{begins, now.Self, now.Info, true})
	}
	f.list = serving(now)
	f.exact = !now.Part
	gone, come := f.list.Changes(f.told)
	room := max(control.MaxOthers, now.List.Len()) - f.count
	for _, m := range gone {
		if !f.follows(m) {
			continue
		}
		_, replaced := slices.BinarySearchFunc(come, m.ID, func(c ring.Listed, id uint64) int { return cmp.Compare(c.ID, id) })
		how := f.end(m.Ref, replaced, now)
		if how == "" {
			f.exact = false
			continue
		}
		ends, room = append(ends, change{how, m.Ref, m.Info, false}), room+1
	}
	for _, m := range come {
		switch {
		case !f.follows(m):
		case len(starts) < room:
			starts = append(starts, change{begins, m.Ref, m.Info, false})
		default:
			f.exact = false
		}
	}
	slices.SortStableFunc(ends, func(a, b change) int { return cmp.Compare(a.ref.ID, b.ref.ID) })
	f.changes = append(append(append(f.changes, ends...), self...), starts...)
}

// serving is the list without the node itself, and without those that are about to leave.
func serving(now Sight) *ring.List {
	list := now.List
	if m, listed := list.Find(now.Self.ID); listed {
		list = list.Without(m.Ref)
	}
	for m := range now.View.Leaving.All() {
		list = list.Without(m.Ref)
	}
	return list
}

func (f *Follower) follows(m ring.Listed) bool { return f.Service == "" || m.Info.Handles(f.Service) }

// end says how a member has ended that was told and is not on the list. It returns "" if it
// need not have ended.
func (f *Follower) end(ref ring.Ref, replaced bool, now Sight) shown.MemberChange {
	if how, over := f.HowEnded(ref); over {
		return how
	}
	if now.Whole || replaced || ref.ID == now.Self.ID && !now.Over {
		return shown.MemberEnded
	}
	return ""
}
