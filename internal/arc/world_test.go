package arc

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// world is a registry, which may crash and come back, and processes. Any of them may be as slow as
// the seed wants. Streams are in order, and a process hears of each end of a life at a time of its
// own.
type world struct {
	rng    *rand.Rand
	judge  *judge
	log    func(format string, args ...any)
	points []uint64
	procs  []*proc
	byLife map[uint64]*proc
	listed []*proc
	links  map[[2]*proc]*link
	active []*link
	snaps  []map[uint64][]*msg // what was given, by the body of a Give

	auth  *Authority // nil while there is no registry
	term  uint64
	conns []*conn

	budget   budget
	lag      int
	cuts     int    // pieces in a share, at most
	slow     [8]int // by kind of thing: of so many times it goes on once
	maxSteps int
	totals   totals
}

// budget is how often what may still happen.
type budget struct {
	send, join, retire, die, declare, cut, crash, lose, fail, call int
}

// proc is a process: one life of a node.
type proc struct {
	Member
	w       *world
	o       *Owner // nil if it is a source only
	s       *Source
	running bool
	over    bool // it was declared over, or has left
	left    bool // in good order
	retires bool
	mayEnd  bool // it was told Left
	conn    *conn

	feed     []event
	heard    map[uint64]bool // ends
	list     []Member        // owners, as it has heard
	returned []func()        // frames that come back
	sent     []*msg          // by number
	handlers []*handler
	ops      []operation
	state    map[uint64][]*msg // by point: what was handled
	holds    map[uint64]uint64 // by point, for the judge
	resting  bool
}

// event is a change of the list of members.
type event struct {
	joined *proc
	ended  *proc
	off    *proc // it retires, and is on no list of owners
}

// handler is one that runs. It may wait for a call.
type handler struct {
	Message
	calls *msg
}

type operation struct {
	op   uint64
	arc  Arc
	take bool
	body []byte
}

// link is a stream. handled are the latest frames that were, of which the source may not know it.
type link struct {
	from, to *proc
	queue    []Frame
	handled  []Frame
}

// conn is a connection of an owner to the registry.
type conn struct {
	p        *proc
	up, down []any // Report, Orders, Frame
	reported bool
}

func (p *proc) String() string { return fmt.Sprint("life ", p.Life) }

// join begins a life.
func (w *world) join(owner bool) {
	p := &proc{w: w, running: true, heard: map[uint64]bool{}, state: map[uint64][]*msg{}, holds: map[uint64]uint64{}}
	p.Life = uint64(len(w.procs)) + 100
	for range 1 + w.rng.IntN(1+w.rng.IntN(3)) {
		p.Positions = append(p.Positions, w.place())
	}
	p.s = NewSource(p)
	if owner {
		p.o = NewOwner(p)
	}
	for _, q := range w.listed {
		if q.o != nil && !q.retires {
			p.list = append(p.list, q.Member)
		}
	}
	for _, q := range w.procs {
		p.heard[q.Life] = q.over
	}
	w.procs = append(w.procs, p)
	w.byLife[p.Life] = p
	w.listed = append(w.listed, p)
	w.tell(event{joined: p})
	w.log("%v joins, owner %v, at %x", p, owner, p.Positions)
}

// place is somewhere on the ring: often where other things are.
func (w *world) place() uint64 {
	at := w.rng.Uint64N(16) << 60
	return at + w.rng.Uint64N(3) - 1
}

func (w *world) tell(e event) {
	for _, p := range w.procs {
		if p.running {
			p.feed = append(p.feed, e)
		}
	}
}

// end takes a life off the lists: it has died, left, or was declared dead.
func (w *world) end(p *proc, left bool) {
	w.log("%v is over, left %v, runs %v", p, left, p.running)
	p.over, p.left = true, left
	w.judge.lost(p, Ring)
	w.disconnect(p)
	w.listed = slices.DeleteFunc(w.listed, func(q *proc) bool { return q == p })
	w.tell(event{ended: p})
	if w.auth != nil {
		w.auth.Gone(p.Life)
	}
}

// die ends a process: of what it sent last, some is lost.
func (w *world) die(p *proc) {
	w.log("%v dies", p)
	p.running = false
	w.judge.lost(p, Ring)
	w.disconnect(p)
	for _, l := range w.active {
		if l.from == p {
			l.queue = l.queue[:w.rng.IntN(len(l.queue)+1)]
		}
	}
}

// leave ends a life in good order: what it has sent arrives, and what has not arrived there goes back.
func (w *world) leave(p *proc) {
	for _, l := range slices.Clone(w.active) {
		for l.from == p && len(l.queue) > 0 {
			w.arrive(l)
		}
	}
	w.log("%v leaves", p)
	p.running = false
	for _, l := range slices.Clone(w.active) {
		if l.to == p {
			back := l.queue
			l.queue = nil
			for _, f := range back {
				l.from.give(f)
			}
		}
	}
	w.end(p, true)
}

// give gives a frame back that was not handled, since the sink has left.
func (p *proc) give(f Frame) {
	if p.running {
		p.s.Returned(f)
	}
}

func (p *proc) giveBack() {
	f := p.returned[0]
	p.returned = p.returned[1:]
	f()
}

// hear takes the next change of the list.
func (p *proc) hear() {
	e := p.feed[0]
	p.feed = p.feed[1:]
	switch {
	case e.joined != nil && e.joined.o != nil:
		p.list = append(p.list, e.joined.Member)
	case e.off != nil:
		p.unlist(e.off)
	case e.ended == p:
		p.w.die(p)
		return
	case e.ended != nil:
		p.unlist(e.ended)
		for e.ended.left && len(p.returned) > 0 { // what a life that leaves gives back comes first
			p.giveBack()
		}
		p.w.log("%v hears of the end of %v", p, e.ended)
		p.heard[e.ended.Life] = true
		for _, key := range [][2]*proc{{p, e.ended}, {e.ended, p}} {
			if l := p.w.links[key]; l != nil {
				l.queue, l.handled = nil, nil
			}
		}
		p.w.judge.repeats(p, func(t *target, _ message) bool { return t.sentTo == e.ended.Life })
		p.w.judge.excused = !e.ended.left
		p.s.Gone(e.ended.Life)
		p.w.judge.excused = false
		if p.o != nil {
			p.o.Gone(e.ended.Life)
		}
	}
	p.resting = false
	p.s.Retry()
}

func (p *proc) unlist(q *proc) {
	p.list = slices.DeleteFunc(p.list, func(m Member) bool { return m.Life == q.Life })
}

// cut ends a stream though both ends live. Some of what is on its way arrives. The rest comes back,
// and some of what was handled. A source hears of it before it can send anew.
func (w *world) cut(l *link) {
	w.log("the stream %v -> %v ends", l.from, l.to)
	w.totals.Cut++
	for n := w.rng.IntN(len(l.queue) + 1); n > 0 && len(l.queue) > 0; n-- {
		w.arrive(l)
	}
	if !l.from.running || !l.to.running {
		return
	}
	back := slices.Concat(l.handled[len(l.handled)-min(w.rng.IntN(4), len(l.handled)):], l.queue)
	l.queue, l.handled = nil, nil
	lost := map[uint64]bool{}
	for _, f := range back {
		if f.Kind == Msg {
			lost[f.Seq] = true
		}
		if l.from.o != nil && f.Kind != Msg && f.Kind != Ask {
			l.from.returned = append(l.from.returned, func() { l.from.o.Undelivered(l.to.Life, f) })
		}
	}
	w.judge.repeats(l.from, func(_ *target, m message) bool { return lost[m.seq] })
	w.judge.excused = true
	l.from.s.Undelivered(back)
	w.judge.excused = false
}

// Send is [OwnerOutput] and [SourceOutput].
func (p *proc) Send(to uint64, f Frame) {
	w, q := p.w, p.w.byLife[to]
	switch {
	case q == nil:
		panic(fmt.Sprintf("%v sends %+v to %d", p, f, to))
	case p.heard[to], q.left:
		p.returned = append([]func(){func() { p.give(f) }}, p.returned...)
		return
	case !q.running:
		return
	}
	key := [2]*proc{p, q}
	l := w.links[key]
	if l == nil {
		l = &link{from: p, to: q}
		w.links[key] = l
		w.active = append(w.active, l)
	}
	l.queue = append(l.queue, f)
}

// arrive lets the next frame of a stream arrive.
func (w *world) arrive(l *link) {
	f := l.queue[0]
	l.queue = l.queue[1:]
	p := l.to
	if !p.running || p.heard[l.from.Life] {
		return
	}
	w.log("%v -> %v: %v", l.from, p, f)
	w.totals.Frames[f.Kind]++
	l.handled = append(l.handled, f)
	if len(l.handled) > 3 {
		l.handled = l.handled[1:]
	}
	switch f.Kind {
	case Is, No, Ans:
		if f.Kind == Ans && f.Refused {
			w.judge.refused(l.to, f.Seq)
		}
		p.s.Handle(l.from.Life, f)
	default:
		if p.o == nil {
			panic("an owner's frame at a source")
		}
		p.o.Handle(l.from.Life, f)
	}
	w.judge.holders(p)
}

func (f Frame) String() string {
	name := [...]string{"", "Grant", "Settled", "Retired", "Retire", "Left", "Took", "Pull", "Give", "Ask", "Is", "No", "Msg", "Ans"}[f.Kind]
	return fmt.Sprintf("%s arc %v term %d life %d point %x seq %d refused %v", name, f.Arc, f.Term, f.Life, f.Point, f.Seq, f.Refused)
}

func (a Arc) String() string { return fmt.Sprintf("%x-%x", a.First, a.Last) }
