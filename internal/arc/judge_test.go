package arc

import (
	"fmt"
	"slices"
)

// msg is a message, with what the judge knows of it.
type msg struct {
	source   *proc
	number   uint64
	point    uint64
	again    bool
	call     bool // of a handler
	handled  int
	repeats  int  // times that its outcome was unknown
	told     bool // unknown
	answered bool
}

func (m *msg) String() string { return fmt.Sprintf("%d/%d to %x", m.source.Life, m.number, m.point) }

// judge knows all, and compares what happens with what was promised.
type judge struct {
	w         *world
	err       error
	truth     map[uint64][]*msg   // by point: what the state should be
	mayLose   map[uint64]bool     // by point: a life with the state has ended since
	after     map[uint64][][]*msg // by point: states at lives that were over
	terms     map[[2]uint64]*proc
	noHandle  map[[2]uint64]bool // by source and seq: refused
	excused   bool               // a source hears of a death
	handledIn int
}

func (j *judge) fail(format string, args ...any) {
	if j.err == nil {
		j.err = fmt.Errorf(format, args...)
	}
	j.w.log("JUDGE: "+format, args...)
}

// holders checks that a point has one holder, after a step of a process.
func (j *judge) holders(p *proc) {
	if !p.running {
		return
	}
	for _, point := range j.w.points {
		term, holds := p.o.Holds(point)
		if !holds {
			delete(p.holds, point)
			continue
		}
		if p.holds[point] == term {
			continue
		}
		p.holds[point] = term
		j.w.log("%v holds %x under %d", p, point, term)
		key := [2]uint64{point, term}
		if q := j.terms[key]; q != nil && q != p {
			j.fail("%v and %v hold %x under term %d", p, q, point, term)
		}
		j.terms[key] = p
		for _, q := range j.w.procs {
			if q != p && q.running && !q.over && !p.over && q.holds[point] != 0 {
				j.fail("%v and %v hold %x, under %d and %d", p, q, point, term, q.holds[point])
			}
		}
	}
}

func (j *judge) msg(m Message) *msg {
	source := j.w.byLife[m.Source]
	var number uint64
	for _, b := range m.Body {
		number = number<<8 | uint64(b)
	}
	return source.sent[number-1]
}

// begin checks a message whose handler begins.
func (j *judge) begin(p *proc, x Message) {
	m := j.msg(x)
	j.w.log("%v begins to handle %v, seq %d", p, m, x.Seq)
	if j.noHandle[[2]uint64{x.Source, x.Seq}] {
		j.fail("%v handles %v, which was refused", p, m)
	}
	for _, h := range p.handlers {
		if h.Point == x.Point && h.begun && (h.Source != x.Source || h.Seq != x.Seq) {
			j.fail("%v handles two messages to %x at once", p, x.Point)
		}
	}
}

// handled checks a message whose handler has returned, and enters it into the state.
func (j *judge) handled(p *proc, x Message) {
	m := j.msg(x)
	j.w.log("%v has handled %v", p, m)
	j.handledIn++
	if m.handled++; m.handled > 1+m.repeats {
		j.fail("%v is handled %d times", m, m.handled)
	}
	state := p.state[m.point]
	for _, e := range m.source.sent[:m.number-1] {
		if e.point == m.point && !e.told && !e.answered && !slices.Contains(state, e) {
			j.fail("%v is handled before %v", m, e)
		}
	}
	for _, e := range state {
		if e.source == m.source && (e.number > m.number || e == m) && m.repeats == 0 {
			j.fail("%v is handled after %v", m, e)
		}
	}
	p.state[m.point] = append(state, m)
	if p.over { // what it does now may be lost, but not if it was about to give
		j.after[m.point] = append(j.after[m.point], slices.Clone(p.state[m.point]))
		return
	}
	truth := j.truth[m.point]
	switch {
	case slices.Equal(state, truth):
	case !j.mayLose[m.point]:
		j.fail("%v has the state %v at %x, and should have %v", p, state, m.point, truth)
	case !j.mayBe(state, m.point):
		j.fail("%v has the state %v at %x, which is no earlier one of %v", p, state, m.point, truth)
	default:
		j.w.totals.Lost++
	}
	j.mayLose[m.point] = false
	j.truth[m.point] = append(slices.Clone(state), m)
}

// mayBe reports whether a state is an earlier one of a point, after a life with its state has ended.
func (j *judge) mayBe(state []*msg, point uint64) bool {
	for _, s := range append(j.after[point], j.truth[point]) {
		if len(state) <= len(s) && slices.Equal(state, s[:len(state)]) {
			return true
		}
	}
	return false
}

// refused takes note of a refusal.
func (j *judge) refused(source *proc, seq uint64) {
	j.noHandle[[2]uint64{source.Life, seq}] = true
}

// lost takes note that a life with the state of some points ends.
func (j *judge) lost(p *proc, arc Arc) {
	if p.left && arc == Ring {
		return
	}
	for _, point := range j.w.points {
		if arc.Has(point) && slices.Equal(p.state[point], j.truth[point]) {
			j.mayLose[point] = true
		}
	}
}

// closed takes note of the last word of a life: the others can not learn more from it.
func (j *judge) closed(p, from *proc) {
	for _, t := range p.s.targets {
		for _, x := range t.sent {
			if m := p.sent[x.number-1]; t.sentTo == from.Life && slices.Contains(from.state[m.point], m) {
				j.fail("%v has said Closed, and not that it has handled %v", from, m)
			}
		}
	}
}

// repeats takes note of the messages of a source whose outcome it can not learn any more.
func (j *judge) repeats(p, dead *proc) {
	for _, t := range p.s.targets {
		for _, x := range t.sent {
			if x.again && t.sentTo == dead.Life {
				m := p.sent[x.number-1]
				m.repeats++
				j.w.totals.Repeated++
			}
		}
	}
}

// Answered is [SourceOutput].
func (p *proc) Answered(number uint64, _ []byte) {
	m := p.sent[number-1]
	p.w.log("%v: %v is answered", p, m)
	if m.answered || m.told || m.handled == 0 {
		p.w.judge.fail("%v is answered, was answered %v, told %v, handled %d times", m, m.answered, m.told, m.handled)
	}
	m.answered = true
}

// Unknown is [SourceOutput].
func (p *proc) Unknown(number uint64) {
	m := p.sent[number-1]
	p.w.log("%v: %v is of unknown outcome", p, m)
	p.w.totals.Unknown++
	if m.answered || m.told || m.again || !p.w.judge.excused {
		p.w.judge.fail("%v is told as unknown, was answered %v, told %v, again %v, excused %v", m, m.answered, m.told, m.again, p.w.judge.excused)
	}
	m.told = true
}

// rest checks a world in which nothing happens any more.
func (j *judge) rest() {
	var owners []Member
	for _, p := range j.w.listed {
		if p.offers && !p.retires {
			owners = append(owners, p.Member)
		}
	}
	for _, p := range j.w.listed {
		if n := p.s.Unanswered(); n != len(p.s.sent) && len(owners) > 0 || n > 0 && len(owners) > 0 {
			j.fail("%v has %d messages without an outcome", p, n)
		}
		if len(owners) > 0 && (len(p.s.targets)+len(p.s.unbound)+len(p.s.sent) > 0 || p.s.bytes != 0) {
			j.fail("%v keeps %d points, %d bytes", p, len(p.s.targets), p.s.bytes)
		}
		j.restOwner(p, owners)
	}
	if len(owners) == 0 {
		return
	}
	if n, most := j.w.auth.arcs.size(), j.w.cuts*len(ByPosition(owners)); n > most {
		j.fail("the authority keeps %d pieces, at most %d", n, most)
	}
}

func (j *judge) restOwner(p *proc, owners []Member) {
	if len(p.handlers)+len(p.ops)+len(p.o.queues)+len(p.o.parked)+len(p.o.ops)+p.o.queued > 0 || !p.o.pulls.zero() {
		j.fail("%v keeps %d handlers, %d operations, %d queues, %d asks, %d pulls", p, len(p.handlers), len(p.ops), len(p.o.queues), len(p.o.parked), p.o.pulls.size())
	}
	for arc, x := range p.o.arcs.within(Ring) {
		if x.phase != none && x.phase != held || x.op != 0 {
			j.fail("%v has %+v at %v", p, x, arc)
		}
	}
	for _, point := range j.w.points {
		_, holds := p.o.Holds(point)
		if is := owner1(owners, point) == p.Life; is != holds {
			j.fail("%v holds %x: %v, by position %v", p, point, holds, is)
		}
		state, truth := p.state[point], j.truth[point]
		switch {
		case !holds && len(state) > 0:
			j.fail("%v has a copy of %x", p, point)
		case holds && !slices.Equal(state, truth) && (!j.mayLose[point] || !j.mayBe(state, point)):
			j.fail("%v has the state %v at %x, and should have %v", p, state, point, truth)
		}
	}
}
