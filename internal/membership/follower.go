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
// It tells of at most [control.MaxOthers] other members at a time. In a larger ring, others
// take the places of those that have ended.
type Follower struct {
	// HowEnded says how an incarnation has ended, as far as the node was told: false if it
	// was told of no end.
	HowEnded func(ring.Ref) (shown.MemberChange, bool)

	self     ring.Ref // told, and not ended; zero if there is none
	told     map[uint64]toldMember
	caughtUp bool // all that was present at the start is told
	round    uint64

	last    Sight
	pending []shown.MemberEvent // of last, in reverse
}

// toldMember is a member whose start was told.
type toldMember struct {
	inc      uint64
	seen     uint64 // the latest round in which it was on the list
	replaced bool   // the list has another incarnation of the ID
}

// Sight is what a node knows of the ring at one moment.
type Sight struct {
	Self ring.Ref  // the present incarnation, or the last
	Over bool      // Self was declared dead
	View *NodeView // what Self was told
}

// Next returns the next event, and false if all is told.
func (f *Follower) Next(now Sight) (shown.MemberEvent, bool) {
	if now != f.last {
		f.compare(now)
	}
	if len(f.pending) == 0 {
		f.caughtUp = true
		return shown.MemberEvent{}, false
	}
	e := f.pending[len(f.pending)-1]
	f.pending = f.pending[:len(f.pending)-1]
	switch ref := (ring.Ref{ID: uint64(e.ID), Incarnation: e.Incarnation}); {
	case e.Self && e.Change.Over():
		f.self = ring.Ref{}
	case e.Self:
		f.self = ref
	case e.Change.Over():
		delete(f.told, ref.ID)
	default:
		f.told[ref.ID] = toldMember{inc: ref.Incarnation, seen: f.round}
	}
	return e, true
}

// compare makes the events that lead from what was told to the present.
func (f *Follower) compare(now Sight) {
	if f.told == nil {
		f.told = make(map[uint64]toldMember)
	}
	f.last, f.pending = now, f.pending[:0]
	f.round++
	begins := shown.MemberJoined
	if !f.caughtUp {
		begins = shown.MemberPresent
	}

	var self, ends, starts []shown.MemberEvent
	if f.self != (ring.Ref{}) && (now.Over || f.self != now.Self) {
		ends = append(ends, event(shown.MemberDied, f.self, true))
	}
	if !now.Over && f.self != now.Self {
		self = append(self, event(begins, now.Self, true))
	}
	for m := range now.View.Others.All() {
		id, inc := m.ID, m.Incarnation
		t, known := f.told[id]
		switch {
		case id == now.Self.ID:
		case known && t.inc == inc:
			f.told[id] = toldMember{inc: inc, seen: f.round}
		default:
			if known {
				t.replaced = true
				f.told[id] = t
			}
			starts = append(starts, event(begins, ring.Ref{ID: id, Incarnation: inc}, false))
		}
	}
	room := control.MaxOthers - len(f.told)
	for id, t := range f.told {
		if t.seen == f.round {
			continue
		}
		ref := ring.Ref{ID: id, Incarnation: t.inc}
		if how := f.end(ref, t.replaced, now); how != "" {
			ends, room = append(ends, event(how, ref, false)), room+1
		}
	}
	starts = starts[:min(len(starts), max(0, room))]
	slices.SortStableFunc(ends, byID)
	f.pending = append(append(append(f.pending, ends...), self...), starts...)
	slices.Reverse(f.pending)
}

// end says how a member has ended that was told and is not on the list. It returns "" if it
// need not have ended.
//
// A list of the whole ring lacks members that have ended. A list that is shorter than the ring is
// a sample, or lacks members that a new registry has not announced yet.
func (f *Follower) end(ref ring.Ref, replaced bool, now Sight) shown.MemberChange {
	if how, over := f.HowEnded(ref); over {
		return how
	}
	l := now.View
	whole := l.Epoch > 0 && l.Members <= l.Others.Len()+1
	if whole || replaced || ref.ID == now.Self.ID && !now.Over {
		return shown.MemberEnded
	}
	return ""
}

func event(c shown.MemberChange, ref ring.Ref, self bool) shown.MemberEvent {
	return shown.MemberEvent{Change: c, ID: shown.ID(ref.ID), Incarnation: ref.Incarnation, Self: self}
}

func byID(a, b shown.MemberEvent) int { return cmp.Compare(a.ID, b.ID) }
