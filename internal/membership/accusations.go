package membership

import (
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// A member that passes nothing on, or not all, stops streams whose messages or answers it should
// relay. Their sources report that, and what a trace found. A report alone proves nothing: a source
// may lie, a sink may hang, two ends may be cut off. So the registry tries it out:
//
//  1. It gathers reports for a lease. A report suspects those relays, of the way to the sink and of
//     the way back, that can have stopped it.
//  2. The relay that most pairs suspect goes on trial: it is a stub, so routes lead around it. First
//     it must answer a ping, or it is no liar but dead.
//  3. If most of the pairs get on, it stays a stub. If at least two sources have reported it, and no
//     other relay fits the same pairs, the operator is told. If the pairs do not get on, it relays
//     again, and is not tried for a while.
//
// A false trial costs a member nothing but the work of a relay. These bounds hold besides: an eighth
// of the ring are stubs at most, and only one stub rests on pairs with one end in common, which is
// all that a single member can bring about. Nothing is decided by the contents of a trace alone,
// which relays answer.
//
// Rejected: to believe one reporter, which could sideline any member. To ask for a majority of the
// members: most have no stream through the liar. To blame the last node that answers a trace: a liar
// answers traces.

// StuckAfter is how long nothing must come through on a stream before its source reports that: at
// least three questions. It is long against overload, in which some frames come through.
func StuckAfter(lease time.Duration) time.Duration { return max(2*lease, 6*time.Second) }

// StuckAgain is how long after a report the source makes another, as long as the stream is stuck.
func StuckAgain(lease time.Duration) time.Duration { return max(lease, time.Second) }

// The times of a trial.
const (
	// askAgain bounds how long a stream takes to ask again: stream.MaxRTO, and a bit.
	askAgain = 3 * time.Second
	// stubLeases is for how many leases a stub stays one. It doubles each time.
	stubLeases = 64
	// spareLeases is for how many leases a member is not tried again whose trial healed nothing.
	// It doubles each time.
	spareLeases = 16
	maxDoubling = 10
	// releaseLeases is for how many leases no other stub is released after one.
	releaseLeases = 12
)

// maxReports is how many sinks one member may report at a time, and maxStuck how many pairs are
// remembered in all. They are enough to find a liar by. Further reports are ignored until there is
// room again; the list of degraded pairs is as long then.
const (
	maxReports = 16
	maxStuck   = 4096
)

// accusations is what sources report of streams that are stuck.
type accusations struct {
	stuck      map[pair]*accusation
	ledAround  []*member // the stubs, by ascending ID
	releasedAt Time      // when the time of a stub was last over
	reroutedAt Time      // when a member last became a stub
	judgeAt    Time      // judgeRelays has nothing to do before, unless a member has come or gone
}

// accusation is the report of one pair.
type accusation struct {
	first, last Time // when it was reported
	silent      time.Duration
	missed      Missed     // what this registry had missed when it was first reported
	ways        []ring.Ref // the relays of both ways
	suspects    []ring.Ref // those that can have stopped it
	rerouted    bool       // other routes may be why it goes on
	through     bool       // a relay of it became a stub
	healed      Time       // when the stream went on; 0 while it is stuck
}

// record is what is known against a member.
type record struct {
	askedAt   Time // when it was asked whether it is there, 0 for never
	answered  bool // it has sent a heartbeat since
	spared    Time // it is not tried before
	most      int  // the most pairs that suspected it at a time
	acquitted int  // trials that healed nothing
	convicted int  // trials that healed

	troubled   Time     // when its connection or a link of it last broke or came up
	troubledBy ring.Ref // the member that said so; none if the registry has seen it
}

// trouble takes note of a fault that may stop streams as well.
func (r *record) trouble(now Time, by ring.Ref) { r.troubled, r.troubledBy = now, by }

// StuckPair is a pair whose stream makes no progress.
type StuckPair struct {
	From, To ring.Member
	Silent   time.Duration
}

// Sidelined is a member that is led around.
type Sidelined struct {
	Member ring.Member
	Since  Time
	Trial  bool // it is not known yet whether that helps
	Pairs  int  // that it held up, or is thought to
	Why    string
}

// Stuck takes a member's report that a stream of its own is stuck, or is so no longer.
func (a *Authority) Stuck(now Time, from ring.Ref, s control.Stuck) {
	m, to := a.find(from), a.byID[s.ID]
	if m == nil || to == nil || m == to {
		return
	}
	p := pair{from, to.Ref()}
	if s.Healed {
		a.healed(now, p)
		return
	}
	if m.status != active || to.status != active || !m.announced || !to.announced {
		return
	}
	x := a.stuck[p]
	switch {
	case x != nil && now-x.last < a.Lease/4: // too soon to be honest
		return
	case x == nil && !a.roomFor(from):
		return
	}
	ways, suspects := a.suspectsOf(m, to, s)
	if x != nil && x.healed == 0 {
		x.last, x.ways, x.suspects, x.silent = now, ways, suspects, time.Duration(s.Silent)*time.Millisecond
		return
	}
	if a.stuck == nil {
		a.stuck = make(map[pair]*accusation)
	}
	a.stuck[p] = &accusation{
		first: now, last: now, silent: time.Duration(s.Silent) * time.Millisecond, missed: a.missed, ways: ways, suspects: suspects,
		rerouted: a.reroutedAt > 0 && now-a.reroutedAt <= StuckAgain(a.Lease),
	}
}

// healed takes note that a stream went on. If that is not because of other routes, it speaks for
// the relays that it suspects: in overload, streams stand still for a while and go on.
func (a *Authority) healed(now Time, p pair) {
	x := a.stuck[p]
	if x == nil {
		return
	}
	x.healed = now
	if x.rerouted {
		x.suspects = nil
	}
}

// roomFor makes room for another report of a member, if it may make one.
func (a *Authority) roomFor(from ring.Ref) bool {
	n := 0
	var old *pair
	for p, x := range a.stuck {
		if p.from != from {
			continue
		}
		if n++; x.healed > 0 && (old == nil || x.healed < a.stuck[*old].healed) {
			old = &p
		}
	}
	if n >= maxReports && old != nil {
		delete(a.stuck, *old)
		return true
	}
	return n < maxReports && len(a.stuck) < maxStuck
}

// suspectsOf lists the relays of both ways of a stream, and those that can have stopped it, by what a trace found: where the
// answers end, the node that answered last has not passed the trace on, or the next one has not
// taken it, or its answer was stopped on the way back. If the trace was complete, each relay of
// both ways may be a liar that passes on traces.
func (a *Authority) suspectsOf(from, to *member, s control.Stuck) (ways, suspects []ring.Ref) {
	there := a.relays(from.ID, to.ID)
	both := slices.Concat(there, a.relays(to.ID, from.ID))
	farthest := -1
	for i, id := range there {
		if slices.Contains(s.Answered, id) {
			farthest = i
		}
	}
	var ids []uint64
	if s.Complete {
		ids = both
	} else {
		next := to.ID
		if farthest >= 0 {
			ids = append(ids, there[farthest])
		}
		if farthest+1 < len(there) {
			next = there[farthest+1]
			ids = append(ids, next)
		}
		ids = slices.Concat(ids, a.relays(next, from.ID))
	}
	refs := func(ids []uint64) (list []ring.Ref) {
		for _, id := range ids {
			if m := a.byID[id]; m != nil && m != from && m != to && !slices.Contains(list, m.Ref()) {
				list = append(list, m.Ref())
			}
		}
		return list
	}
	return refs(both), refs(ids)
}

// relays lists the relays of the present route from one member to another, as far as it goes.
func (a *Authority) relays(from, to uint64) []uint64 {
	relays, _ := ring.Route(from, to, control.MaxStuckHops, func(at, to uint64) (uint64, bool) {
		m := a.byID[at]
		if m == nil {
			return 0, false
		}
		if slices.ContainsFunc(m.lastHops, func(p ring.Peer) bool { return p.ID == to }) {
			return to, true
		}
		view, _ := a.View(at)
		var up []uint64
		for _, e := range view.Entries {
			if a.pairs[pair{m.Ref(), e}] == nil {
				up = append(up, e.ID)
			}
		}
		if i := ring.ClosestPreceding(ring.Mask(a.Bits), at, to, up); i >= 0 {
			return up[i], true
		}
		for _, d := range m.detours {
			if d.To == to && d.ID != at {
				return d.ID, true
			}
		}
		return 0, false
	})
	return relays
}
