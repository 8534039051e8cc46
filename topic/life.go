package topic

import (
	"context"
	"maps"
	"math/rand/v2"

	"github.com/x/ringdht/status"
	"github.com/x/ringdht/topic/internal/broadcast"
)

const maxHeader = broadcast.MaxHeader

// life is one incarnation of this node, from the first complete list that has it until its end is told.
// It is the core's [broadcast.Output]. The hub's mu guards it.
type life struct {
	h        *hub
	self     broadcast.Member
	core     *broadcast.Node
	ctx      context.Context // of what it sends
	cancel   context.CancelFunc
	outboxes map[uint64]*outbox
	troubles map[uint64]trouble // of members that are on the list

	got    map[uint64]uint64 // the latest numbers of publishers, by their incarnations
	before map[uint64]uint64 // got of the life before, for the sake of its subscriptions

	complete bool // it stands, and has the retained messages
	fetch    fetch
}

// tell takes an event. It returns whether the service's list may be a later one than the roll has. It
// needs mu.
func (h *hub) tell(e status.MemberEvent) (look bool) {
	switch {
	case !e.Self:
		h.roll.tell(e)
		if h.life != nil && e.Change.Over() {
			h.life.ended(broadcast.Member{ID: uint64(e.ID), Incarnation: e.Incarnation})
		}
		return e.Epoch == 0 || e.Epoch > h.roll.epoch
	case e.Change == status.MemberLeft: // it is about to leave: it sends and answers until it has wound up
		return true
	case e.Change.Over():
		h.endLife()
		return false
	}
	h.endLife()
	h.own = broadcast.Member{ID: uint64(e.ID), Incarnation: e.Incarnation}
	return true
}

// look takes the service's list, which has this node first, if it has it. It needs mu.
func (h *hub) look(members []status.MemberInfo, epoch uint64) {
	h.roll.look(members, epoch, h.own)
	h.agree()
}

// agree tells the core what has changed if the events have told all of it. It needs mu.
//
// While a node leaves, and its registry is another one, lists have no epoch. Then only ends are told.
func (h *hub) agree() {
	r := &h.roll
	switch {
	case h.life == nil && h.own != (broadcast.Member{}) && r.listed && r.agreed():
		h.beginLife()
	case h.life == nil:
		r.clear()
		return
	case r.agreed():
		h.life.core.Change(r.epoch, r.joined, r.left, r.died)
		r.clear()
	case r.epoch == 0:
		h.life.core.Change(0, nil, r.left, r.died)
		r.left, r.died = nil, nil
	}
	h.life.proceed()
}

// beginLife needs mu.
func (h *hub) beginLife() {
	l := &life{h: h, self: h.own, outboxes: make(map[uint64]*outbox), troubles: make(map[uint64]trouble), got: make(map[uint64]uint64)}
	l.ctx, l.cancel = context.WithCancel(h.ctx)
	for _, incarnation := range h.roll.told {
		if number, ok := h.got[incarnation]; ok {
			l.got[incarnation] = number
		}
	}
	l.before = maps.Clone(l.got)
	h.life = l
	if h.retained {
		l.fetch = fetch{number: rand.Uint64(), askers: make(map[uint64]ask), delivered: make(map[string]bool), before: h.store}
		h.counted.Forgotten += h.store.forgotten
		h.store = newStore()
	}
	l.core = broadcast.New(l.self, h.roll.epoch, append(h.roll.members(), l.self), rand.Uint64(), l)
	h.roll.clear()
	h.announce()
}

// endLife needs mu.
func (h *hub) endLife() {
	h.own = broadcast.Member{}
	if h.life != nil {
		h.life.cancel()
		h.got = h.life.got
		h.counted.add(h.life)
		h.life = nil
		h.announce()
	}
}

// receive takes a frame, and reports whether it makes sense. It needs mu.
func (l *life) receive(from uint64, b []byte) bool {
	switch b[0] {
	case kindAsk:
		return l.asked(from, b[1:])
	case kindPage:
		return l.answered(from, b[1:])
	}
	f, err := broadcast.Parse(b)
	if err != nil {
		return false
	}
	l.core.Handle(from, f)
	if l.core.Waits() && !l.h.catchingUp {
		l.h.catchingUp = true
		go l.h.catchUp()
	}
	l.proceed()
	return true
}

// publish publishes an envelope, and reports whether there was room. It needs mu.
func (l *life) publish(b []byte) bool {
	if !l.core.Room(len(b)) {
		return false
	}
	l.h.clock = min(l.h.clock+1, maxStamp)
	setStamp(b, l.h.clock)
	number := l.core.Publish(b)
	l.take(l.self, number, 0, b, true)
	l.proceed()
	return true
}

// proceed does what the core's news ask for. It needs mu, and comes after each call of the core, which
// an Output must not call.
func (l *life) proceed() {
	for l.fetch.state != fetched && l.step() {
	}
}

// Deliver is [broadcast.Output].
func (l *life) Deliver(from broadcast.Member, number, missed uint64, body []byte) {
	l.take(from, number, missed, body, false)
}

// take gives a message to the subscriptions, and retains it. The body is its own, or the core's.
func (l *life) take(from broadcast.Member, number, missed uint64, body []byte, own bool) {
	h := l.h
	if missed > 0 { // of which subjects they were is not known
		for _, all := range h.subs {
			for _, s := range all {
				s.missed(missed)
			}
		}
	}
	e, ok := parseEnvelope(body)
	if !ok {
		h.malformed.Add(1)
		return
	}
	h.clock = max(h.clock, e.stamp)
	if h.roll.told[from.ID] == from.Incarnation {
		l.got[from.Incarnation] = max(number, l.before[from.Incarnation])
	}
	subs := h.subs[string(e.subject)]
	if len(subs) == 0 && !h.retained {
		return
	}
	if !own {
		e, _ = parseEnvelope(append([]byte(nil), body...))
	}
	at := place{from, number}
	if number > l.before[from.Incarnation] { // a new life may get what the one before has got
		for _, s := range subs {
			s.push(at, &e)
		}
	}
	if h.retained {
		h.store.put(at, e)
		if !l.complete && len(subs) > 0 {
			l.fetch.delivered[string(e.subject)] = true
		}
	}
}

// Confirmed is [broadcast.Output]: there is room again.
func (l *life) Confirmed(uint64) { l.h.announce() }

// Stands is [broadcast.Output].
func (l *life) Stands() {
	if l.h.retained {
		l.fetch.state = toSettle
	} else {
		l.complete = true
	}
	l.h.announce()
}

// Settled is [broadcast.Output].
func (l *life) Settled(eldest broadcast.Member) { l.fetch.state, l.fetch.eldest = toAsk, eldest }

func (l *life) unconfirmed() int {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	return l.core.Unconfirmed()
}
