package arc

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// world is a registry, which may crash and come back, and processes. Any of them may be as slow as
// the seed wants. Streams are in order and lose nothing while both ends live. A process hears of each
// life, and of each end, at a time of its own.
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
	late     int    // of so many times a frame of a life with an odd number arrives once
	idle     bool   // nothing but what is late goes on
	misled   bool   // sources guess the same owner for all points
	cuts     int    // pieces in a share, at most
	places   int    // for handlers at a process
	slow     [8]int // by kind of thing: of so many times it goes on once
	maxSteps int
	totals   totals
}

// budget is how often what may still happen.
type budget struct {
	send, join, offer, retire, die, declare, crash, lose, fail, call int
}

// proc is a process: one life of a node.
type proc struct {
	Member
	w       *world
	o       *Owner
	s       *Source
	offers  bool // to hold arcs
	blind   bool // it knows no list of owners
	running bool
	over    bool // it was declared over, or has left
	left    bool // in good order
	retires bool
	mayEnd  bool // it was told Left
	closing bool // it has said Closed
	conn    *conn

	feed     []event
	knows    map[uint64]bool // lives of which it has heard
	heard    map[uint64]bool // ends
	list     []Member        // owners, as it has heard
	sent     []*msg          // by number
	handlers []*handler
	ops      []operation
	state    map[uint64][]*msg // by point: what was handled
	holds    map[uint64]uint64 // by point, for the judge
	resting  bool
	retries  int
}

// event is a change of the list of members.
type event struct {
	joined *proc
	offers *proc
	ended  *proc
	off    *proc // it retires, and is on no list of owners
}

// handler is one that runs. It may wait for a call.
type handler struct {
	Message
	begun bool
	calls *msg
}

type operation struct {
	op   uint64
	arc  Arc
	take bool
	body []byte
}

// link is a stream.
type link struct {
	from, to *proc
	queue    []Frame
}

// conn is a connection of a process to the registry.
type conn struct {
	p        *proc
	up, down []any // Report, Orders, Frame
	reported bool
}

func (p *proc) String() string { return fmt.Sprint("life ", p.Life) }

// join begins a life.
func (w *world) join(owner bool) {
	var positions []uint64
	for range 1 + w.rng.IntN(1+w.rng.IntN(3)) {
		positions = append(positions, w.place())
	}
	w.add(owner, positions)
}

func (w *world) add(owner bool, positions []uint64) {
	p := &proc{w: w, running: true, knows: map[uint64]bool{}, heard: map[uint64]bool{}, state: map[uint64][]*msg{}, holds: map[uint64]uint64{}}
	p.Member = Member{uint64(len(w.procs)) + 100, positions}
	p.s, p.o = NewSource(p), NewOwner(p)
	p.offers, p.blind = owner, w.rng.IntN(5) == 0
	for _, q := range w.listed {
		p.knows[q.Life] = true
		if q.offers && !q.retires {
			p.list = append(p.list, q.Member)
		}
	}
	p.knows[p.Life] = true
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
	w.truncate(p)
}

// offer lets a source begin to offer.
func (w *world) offer(p *proc) {
	w.log("%v begins to offer", p)
	w.totals.Offered++
	p.offers = true
	w.tell(event{offers: p})
	if p.conn != nil {
		p.report()
	}
}

func (w *world) retire(p *proc) {
	w.log("%v retires", p)
	w.totals.Retired++
	p.retires = true
	w.tell(event{off: p})
	p.o.Retire()
}

// close says Closed to all lives to which this one has sent.
func (p *proc) close() {
	p.w.log("%v is closing", p)
	p.closing = true
	for _, l := range p.w.active {
		if l.from == p && l.to.running && !p.heard[l.to.Life] {
			l.queue = append(l.queue, Frame{Kind: Closed})
		}
	}
}

// closed reports whether all of them have it, or are gone.
func (p *proc) closed() bool {
	return !slices.ContainsFunc(p.w.active, func(l *link) bool {
		return l.from == p && slices.ContainsFunc(l.queue, func(f Frame) bool { return f.Kind == Closed })
	})
}

// leave ends a life in good order. What comes after its Closed may be lost.
func (w *world) leave(p *proc) {
	w.log("%v leaves", p)
	w.totals.Left++
	p.running = false
	w.truncate(p)
	w.end(p, true)
}

// truncate loses some of what a process that ends has sent last.
func (w *world) truncate(p *proc) {
	for _, l := range w.active {
		if l.from == p {
			l.queue = l.queue[:w.rng.IntN(len(l.queue)+1)]
		}
	}
}

// hear takes the next change of the list.
func (p *proc) hear() {
	e := p.feed[0]
	p.feed = p.feed[1:]
	switch {
	case e.joined != nil:
		p.knows[e.joined.Life] = true
		if e.joined.offers && !slices.ContainsFunc(p.list, func(m Member) bool { return m.Life == e.joined.Life }) {
			p.list = append(p.list, e.joined.Member)
		}
	case e.offers != nil:
		p.list = append(p.list, e.offers.Member)
	case e.off != nil:
		p.unlist(e.off)
	case e.ended == p:
		p.w.die(p)
		return
	case e.ended != nil:
		p.unlist(e.ended)
		p.w.log("%v hears of the end of %v", p, e.ended)
		p.heard[e.ended.Life] = true
		for _, key := range [][2]*proc{{p, e.ended}, {e.ended, p}} {
			if l := p.w.links[key]; l != nil {
				l.queue = nil
			}
		}
		p.w.judge.repeats(p, e.ended)
		p.w.judge.excused = !e.ended.left
		p.s.Gone(e.ended.Life)
		p.w.judge.excused = false
		p.o.Gone(e.ended.Life)
	}
	p.resting = false
	p.s.Retry()
}

func (p *proc) unlist(q *proc) {
	p.list = slices.DeleteFunc(p.list, func(m Member) bool { return m.Life == q.Life })
}

// Send is [OwnerOutput] and [SourceOutput].
func (p *proc) Send(to uint64, f Frame) {
	w, q := p.w, p.w.byLife[to]
	switch {
	case to == Registry:
		p.Tell(f)
		return
	case q == nil:
		panic(fmt.Sprintf("%v sends %+v to %d", p, f, to))
	case p.heard[to] && (f.Kind == Ask || f.Kind == Msg):
		w.judge.fail("%v sends %v to life %d, of whose end it has heard", p, f, to)
	case p.heard[to], !q.running:
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
	p.knows[l.from.Life] = true
	if f.Kind == Closed {
		w.judge.closed(p, l.from)
	}
	p.take(l.from.Life, f)
}

// take takes a frame of a life, or of the authority.
func (p *proc) take(from uint64, f Frame) {
	p.w.totals.Frames[f.Kind]++
	if f.Kind == Ans && f.Refused {
		p.w.judge.refused(p, f.Seq)
	}
	if f.Kind.ToSource() {
		p.s.Handle(from, f)
	} else {
		p.o.Handle(from, f)
		p.begin()
	}
	p.w.judge.holders(p)
}

func (f Frame) String() string {
	name := [...]string{"", "Grant", "Settled", "Retired", "Retire", "Left", "Took", "Pull", "Give", "Ask", "Is", "No", "Msg", "Ans", "Closed"}[f.Kind]
	return fmt.Sprintf("%s arc %v term %d life %d point %x seq %d refused %v", name, f.Arc, f.Term, f.Life, f.Point, f.Seq, f.Refused)
}

func (a Arc) String() string { return fmt.Sprintf("%x-%x", a.First, a.Last) }
