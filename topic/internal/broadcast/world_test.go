package broadcast

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// world is a service with a registry, of which only the order of its lists is simulated, and
// members. Any of them may be as slow as the seed wants. Streams are in order, and a node hears
// of each end of a member at a time of its own.
type world struct {
	rng      *rand.Rand
	judge    *judge
	procs    []*proc
	byInc    map[uint64]*proc
	byID     map[uint64][]*proc
	listed   []*proc // by the registry
	epoch    uint64
	links    map[[2]*proc]*link
	streams  []*link // all of links, in their order
	active   []*link
	budget   budget
	idSpace  uint64
	lag      int // of 100 steps, this many go to lists
	log      func(format string, args ...any)
	maxSteps int
	cuts     int
	once     bool // what is sent again waits once, as in the outboxes of package topic
	skipped  int
}

// budget is how often what may still happen.
type budget struct {
	publish, join, leave, die, declare, cut, settle int
	bulk                                            int // messages that one step publishes at most
}

// proc is a process: one incarnation of a node.
type proc struct {
	Member
	w         *world
	n         *Node
	feed      []change
	heardDied map[uint64]bool
	returned  []func() // calls of Undelivered that are due
	joinEpoch uint64
	published uint64
	running   bool
	leaving   bool // it is on no list any more, and ends its affairs
	left      bool // in good order
	gone      bool // it was leaving, and has ended
	frames    map[Kind]int

	falselyDead     bool
	early, cameBack int
}

type change struct {
	epoch              uint64
	joined, left, died []Member
}

// link is a stream. handled are the latest frames that were, of which the source may not know it.
type link struct {
	from, to *proc
	queue    []wireFrame
	handled  []wireFrame
	at       int // in world.active, -1 if not
}

type wireFrame struct {
	to uint64 // an ID
	b  []byte
}

func (p *proc) String() string { return fmt.Sprintf("%d/%d", p.ID, p.Incarnation) }

func (w *world) join() {
	w.epoch++
	id := w.rng.Uint64N(w.idSpace)
	if gone := slices.IndexFunc(w.procs, func(p *proc) bool { return !p.running }); gone >= 0 && w.rng.IntN(2) == 0 {
		id = w.procs[gone].ID
	}
	if slices.ContainsFunc(w.listed, func(p *proc) bool { return p.ID == id }) || slices.ContainsFunc(w.procs, func(p *proc) bool { return p.leaving && !p.gone && p.ID == id }) {
		return
	}
	p := &proc{Member: Member{id, uint64(len(w.procs)) + 1000}, w: w, running: true, joinEpoch: w.epoch, heardDied: map[uint64]bool{}, frames: map[Kind]int{}}
	var members []Member
	for _, m := range w.listed {
		members = append(members, m.Member)
		m.feed = append(m.feed, change{epoch: w.epoch, joined: []Member{p.Member}})
	}
	w.tellLeaving(change{epoch: w.epoch, joined: []Member{p.Member}})
	for _, m := range w.procs {
		p.heardDied[m.Incarnation] = !m.listed() && !m.leaving
	}
	w.procs = append(w.procs, p)
	w.byInc[p.Incarnation] = p
	w.byID[id] = append(w.byID[id], p)
	w.listed = append(w.listed, p)
	w.judge.joined(p)
	w.log("%v joins, epoch %d", p, w.epoch)
	p.n = New(p.Member, w.epoch, append(members, p.Member), w.rng.Uint64(), p)
}

func (w *world) tellLeaving(c change) {
	for _, p := range w.procs {
		if p.leaving && p.running {
			p.feed = append(p.feed, c)
		}
	}
}

// unlist takes a process off the lists, because it leaves or is declared dead.
func (w *world) unlist(p *proc, leaves bool) {
	w.epoch++
	c := change{epoch: w.epoch}
	if leaves {
		c.left = []Member{p.Member}
	} else {
		c.died = []Member{p.Member}
	}
	w.tellLeaving(c)
	for _, m := range w.listed {
		m.feed = append(m.feed, c) // also itself
	}
	w.listed = slices.DeleteFunc(w.listed, func(m *proc) bool { return m == p })
	p.leaving = leaves
	w.log("%v is off the lists, epoch %d, leaves %v, runs %v", p, w.epoch, leaves, p.running)
}

// die ends a process: of what it sent last, some is lost.
func (w *world) die(p *proc) {
	w.log("%v ends", p)
	p.running = false
	for _, l := range slices.Clone(w.active) {
		if l.from == p {
			l.queue = l.queue[:w.rng.IntN(len(l.queue)+1)]
			w.enlist(l)
		}
	}
}

// nextChange lets a node hear of the next change of the list, or of several at once.
func (w *world) nextChange(p *proc) {
	c := p.feed[0]
	c.joined, c.left, c.died = slices.Clone(c.joined), slices.Clone(c.left), slices.Clone(c.died) // others have the same
	p.feed = p.feed[1:]
	for len(p.feed) > 0 && w.rng.IntN(4) == 0 { // the net change
		d := p.feed[0]
		p.feed = p.feed[1:]
		c.epoch = d.epoch
		for _, gone := range slices.Concat(d.left, d.died) {
			if at := slices.Index(c.joined, gone); at >= 0 {
				c.joined = slices.Delete(c.joined, at, at+1)
			} else if slices.Contains(d.left, gone) {
				c.left = append(c.left, gone)
			} else {
				c.died = append(c.died, gone)
			}
			if slices.Contains(d.died, gone) {
				p.hearDied(gone)
			}
		}
		c.joined = append(c.joined, d.joined...)
	}
	w.log("%v hears of epoch %d: joined %v, left %v, died %v", p, c.epoch, c.joined, c.left, c.died)
	if slices.Contains(c.died, p.Member) {
		w.die(p)
		return
	}
	p.hearDied(c.died...)
	p.n.Change(c.epoch, c.joined, c.left, c.died)
}

// hearDied ends the streams to the dead.
func (p *proc) hearDied(dead ...Member) {
	for _, d := range dead {
		p.heardDied[d.Incarnation] = true
		if l := p.w.links[[2]*proc{p, p.w.byInc[d.Incarnation]}]; l != nil {
			p.w.drop(l)
		}
	}
}

// takeBack ends a stream though both ends live. What it held, and up to so many frames that were
// handled, comes back.
func (w *world) takeBack(l *link, handled int) {
	back := append(slices.Clone(l.handled[len(l.handled)-min(handled, len(l.handled)):]), l.queue...)
	w.drop(l)
	l.from.cameBack += len(back)
	for _, x := range back {
		l.from.returned = append(l.from.returned, func() {
			f, _ := Parse(x.b)
			l.from.n.Undelivered(x.to, f)
		})
	}
}

// drop ends a stream to a member that has ended.
func (w *world) drop(l *link) {
	if l.to.gone {
		for _, x := range l.queue {
			f, _ := Parse(x.b)
			l.from.comesBack(f)
		}
	}
	l.queue, l.handled = nil, nil
	w.enlist(l)
}

// Send is [Output]. A stream is opened to an ID: of two incarnations that may have it, as far as the
// source has heard, it may reach either.
func (p *proc) Send(to uint64, f Frame) {
	p.frames[f.Kind]++
	x := wireFrame{to, f.Append(nil)}
	var dst *proc
	for _, q := range p.w.byID[to] {
		if !p.heardDied[q.Incarnation] && !q.gone && (dst == nil || p.w.rng.IntN(2) == 0) {
			dst = q
		}
	}
	switch {
	case to == p.ID:
		panic("a node sends to itself")
	case dst == nil:
		p.comesBack(f)
		return
	}
	key := [2]*proc{p, dst}
	l := p.w.links[key]
	if l == nil {
		l = &link{from: p, to: dst, at: -1}
		p.w.links[key] = l
		p.w.streams = append(p.w.streams, l)
	}
	if p.w.once && f.Origin == p.Member && f.Limit == to && f.Tag == 0 && slices.ContainsFunc(l.queue, func(y wireFrame) bool { return again(f, y) }) {
		p.w.skipped++
		return
	}
	l.queue = append(l.queue, x)
	p.w.enlist(l)
}

// comesBack says that a member has ended that was asked for messages.
func (p *proc) comesBack(f Frame) {
	if f.Kind == Need {
		p.returned = append(p.returned, func() { p.n.Ended(f.Origin) })
	}
}

// again reports whether a frame for one member tells it what another one does: the message, or what is gone.
func again(f Frame, x wireFrame) bool {
	g, err := Parse(x.b)
	return err == nil && g.Kind == f.Kind && g.Origin == f.Origin && g.Limit == f.Limit && g.Tag == 0 && (g.Number == f.Number || f.Kind == Sync) && (g.Lo == f.Lo || f.Kind == Data)
}

// enlist keeps world.active.
func (w *world) enlist(l *link) {
	switch {
	case len(l.queue) > 0 && l.at < 0:
		l.at = len(w.active)
		w.active = append(w.active, l)
	case len(l.queue) == 0 && l.at >= 0:
		last := w.active[len(w.active)-1]
		w.active[l.at], last.at = last, l.at
		w.active = w.active[:len(w.active)-1]
		l.at = -1
	}
}

// arrive lets the next frame of a stream arrive.
func (w *world) arrive(l *link) {
	x := l.queue[0]
	l.queue = l.queue[1:]
	w.enlist(l)
	if !l.to.running || l.to.heardDied[l.from.Incarnation] {
		return
	}
	l.handled = append(l.handled, x)
	if len(l.handled) > 3 {
		l.handled = l.handled[1:]
	}
	f, err := Parse(x.b)
	if err != nil {
		panic(err)
	}
	w.log("%v -> %v: %v %d of %v, lo %d, limit %d, tag %d, epoch %d", l.from, l.to, f.Kind, f.Number, f.Origin, f.Lo, f.Limit, f.Tag, f.Epoch)
	waiting := len(l.to.n.early)
	l.to.n.Handle(l.from.ID, f)
	l.to.early += len(l.to.n.early) - waiting
}
