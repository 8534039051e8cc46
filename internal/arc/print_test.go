package arc

import (
	"encoding/binary"
	"maps"
	"slices"
)

// What is ranked: terms, and for each life its operations and its seqs.
const (
	terms = 0
	ops   = 1 << 32
	seqs  = 2 << 32
)

// fingerprint is the same for worlds that go on in the same way. It leaves out what the judge keeps of
// terms and seqs that are over.
func fingerprint(w *world) [2]uint64 {
	f := &print{ranks: map[uint64][]rank{terms: nil}}
	b := w.budget
	f.add(uint64(b.retire), uint64(b.die), uint64(b.declare), uint64(b.crash), uint64(b.lose), uint64(len(w.procs)))
	for _, p := range w.procs {
		f.proc(w, p)
	}
	for _, from := range w.procs {
		for _, to := range w.procs {
			if l := w.links[[2]*proc{from, to}]; l != nil && len(l.queue) > 0 {
				f.add(from.Life, to.Life, uint64(len(l.queue)))
				for _, x := range l.queue {
					f.frame(w, from, to, x)
				}
			}
		}
	}
	if f.bools(w.auth != nil); w.auth != nil {
		f.authority(w.auth)
	}
	for _, point := range w.points {
		f.messages(w.judge.truth[point])
		f.bools(w.judge.mayLose[point])
		f.add(uint64(len(w.judge.after[point])))
		for _, s := range w.judge.after[point] {
			f.messages(s)
		}
	}
	return f.sum()
}

func (f *print) messages(list []*msg) {
	f.add(uint64(len(list)))
	for _, m := range list {
		f.add(m.source.Life, m.number)
	}
}

func (f *print) frame(w *world, from, to *proc, x Frame) {
	f.add(uint64(x.Kind), x.Arc.First, x.Arc.Last, x.Life, x.Point)
	f.bools(x.Refused)
	f.ranked(terms, x.Term)
	switch x.Kind {
	case Msg:
		f.ranked(seqs+from.Life, x.Seq)
		f.add(binary.BigEndian.Uint64(x.Body))
	case Ans:
		f.ranked(seqs+to.Life, x.Seq)
	case Give:
		f.given(w, x.Body)
	}
}

// given is the state in a Give.
func (f *print) given(w *world, body []byte) {
	if body == nil {
		f.add(0)
		return
	}
	for _, point := range w.points {
		f.messages(w.snaps[binary.BigEndian.Uint64(body)][point])
	}
}

func (f *print) held(all []Held) {
	f.add(uint64(len(all)))
	for _, h := range all {
		f.add(h.First, h.Last)
		f.ranked(terms, h.Term)
	}
}

func (f *print) report(r Report) {
	f.held(r.Held)
	f.held(r.Given)
	f.bools(r.Retiring, r.Left)
}

// note is what is on a connection.
func (f *print) note(w *world, p *proc, x any) {
	switch x := x.(type) {
	case report:
		f.add(1, uint64(len(x.Positions)))
		f.report(x.Report)
	case Orders:
		f.add(2, uint64(len(x.Pull)))
		f.held(x.Hold)
		for _, o := range x.Pull {
			f.held([]Held{o.Held})
			f.add(o.From)
		}
		f.ranked(terms, x.Bar)
		f.ranked(terms, x.Latest)
		f.bools(x.Retired)
	case Frame:
		f.add(3)
		f.frame(w, p, p, x)
	}
}

func (f *print) proc(w *world, p *proc) {
	f.bools(p.running, p.over, p.left, slices.Contains(w.listed, p))
	for _, m := range p.sent {
		f.add(uint64(m.handled), uint64(m.repeats))
		f.bools(m.told, m.answered)
	}
	f.add(uint64(len(p.sent)))
	for _, point := range w.points {
		f.messages(p.state[point])
	}
	if !p.running {
		return
	}
	f.bools(p.retires, p.mayEnd, p.closing, p.offers, p.resting, p.conn != nil && p.conn.reported)
	for _, q := range w.procs {
		f.bools(p.heard[q.Life], p.knows[q.Life])
	}
	f.add(uint64(len(p.list)), uint64(len(p.feed)), uint64(len(p.handlers)), uint64(len(p.ops)))
	for _, m := range p.list {
		f.add(m.Life)
	}
	for _, e := range p.feed {
		f.add(e.ended.Life)
	}
	if p.conn != nil {
		f.add(uint64(len(p.conn.up)), uint64(len(p.conn.down)))
		for _, x := range slices.Concat(p.conn.up, p.conn.down) {
			f.note(w, p, x)
		}
	}
	for _, h := range p.handlers {
		f.message(h.Message)
	}
	for _, x := range p.ops {
		f.ranked(ops+p.Life, x.op)
		f.add(x.arc.First, x.arc.Last)
		f.bools(x.take)
		f.given(w, x.body)
	}
	f.owner(p)
	f.source(p)
}

func (f *print) message(m Message) {
	f.add(m.Source, m.Point)
	f.ranked(seqs+m.Source, m.Seq)
	f.ranked(terms, m.Term)
}

func (f *print) owner(p *proc) {
	o := p.o
	f.bools(o.frozen, o.retiring, o.retired, o.left)
	f.ranked(terms, o.bar)
	f.ranked(terms, o.latest)
	f.add(uint64(o.arcs.size()), uint64(o.pulls.size()), uint64(len(o.parked)), uint64(len(o.queues)))
	for arc, x := range o.arcs.walk(Ring) {
		f.add(arc.First, uint64(x.phase), x.peer)
		f.ranked(terms, x.term)
		f.ranked(ops+p.Life, x.op)
		f.bools(x.stale, x.failed, x.has, x.resume)
	}
	for arc, x := range o.pulls.walk(Ring) {
		f.add(arc.First, x.from)
		f.ranked(terms, x.term)
	}
	for _, a := range o.parked {
		f.add(a.from, a.point)
	}
	for _, point := range slices.Sorted(maps.Keys(o.queues)) {
		f.add(uint64(len(o.queues[point])))
		for _, m := range o.queues[point] {
			f.message(m)
		}
	}
}

func (f *print) source(p *proc) {
	s := p.s
	f.add(uint64(len(s.targets)), uint64(s.known.size()))
	for _, t := range sorted(s.targets, func(*target) bool { return true }) {
		f.add(t.point, t.holder, t.sentTo, t.asked, uint64(t.hints), uint64(len(t.sent)), uint64(len(t.unsent)))
		f.bools(t.resting, t.final)
		f.ranked(terms, t.term)
		f.ranked(terms, t.least)
		for _, m := range slices.Concat(t.sent, t.unsent) {
			f.add(m.number)
		}
		for _, m := range t.sent {
			f.ranked(seqs+p.Life, m.seq)
		}
	}
	for arc, k := range s.known.walk(Ring) {
		f.add(arc.First, k.life)
		f.ranked(terms, k.term)
	}
}

func (f *print) authority(a *Authority) {
	f.bools(a.recovering)
	f.ranked(terms, a.bar)
	f.ranked(terms, a.latest)
	for _, life := range a.lives() {
		o := a.owners[life]
		f.add(life, uint64(len(o.Positions)))
		f.bools(o.retiring, o.retired, o.left)
		f.report(o.report)
	}
	for arc, s := range a.arcs.walk(Ring) {
		f.add(arc.First, s.holder, s.receiver)
		f.ranked(terms, s.term)
		f.ranked(terms, s.move)
	}
}
