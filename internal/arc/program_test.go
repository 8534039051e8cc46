package arc

import (
	"encoding/binary"
	"slices"
)

// Guess is [SourceOutput].
func (p *proc) Guess(point uint64) uint64 {
	if p.blind {
		return 0
	}
	if len(p.list) > 0 && p.w.misled {
		return p.list[0].Life
	}
	if len(p.list) > 0 && p.w.rng.IntN(8) == 0 {
		return p.list[p.w.rng.IntN(len(p.list))].Life
	}
	return owner1(p.list, point)
}

// owner1 is the owner by position.
func owner1(list []Member, point uint64) uint64 {
	for _, s := range ByPosition(list) {
		if s.Has(point) {
			return s.Life
		}
	}
	return 0
}

// Reachable is [SourceOutput].
func (p *proc) Reachable(life uint64) bool { return p.knows[life] && !p.heard[life] }

// Later is [SourceOutput].
func (p *proc) Later() { p.resting = true }

// Handle is [OwnerOutput]. A process has few places for handlers in some worlds. A call of a handler
// needs none, nor does what is in front of one.
func (p *proc) Handle(m Message) {
	p.handlers = append(p.handlers, &handler{Message: m})
	p.begin()
}

// begin begins handlers while there are places.
func (p *proc) begin() {
	n := 0
	for _, h := range p.handlers {
		if h.begun {
			n++
		}
	}
	for _, h := range p.handlers {
		if !h.begun && (n < p.w.places || p.urgent(h)) {
			n++
			h.begun = true
			p.w.judge.begin(p, h.Message)
			p.call(h)
		}
	}
}

// urgent reports whether a handler waits for this one, or for one behind it.
func (p *proc) urgent(h *handler) bool {
	for m := range p.o.Behind(h.Point) {
		if p.w.judge.msg(m).call {
			return true
		}
	}
	return p.w.judge.msg(h.Message).call
}

// call lets some handlers call a later point.
func (p *proc) call(h *handler) {
	if b := &p.w.budget.call; *b > 0 && p.w.rng.IntN(3) == 0 {
		*b--
		if i := slices.Index(p.w.points, h.Point); i+1 < len(p.w.points) {
			h.calls = p.send(p.w.points[i+1+p.w.rng.IntN(len(p.w.points)-i-1)], false)
			h.calls.call = true
			p.w.log("%v: the handler of %v calls %v", p, p.w.judge.msg(h.Message), h.calls)
		}
	}
}

// send lets a source send a message.
func (p *proc) send(point uint64, again bool) *msg {
	m := &msg{source: p, number: uint64(len(p.sent)) + 1, point: point, again: again}
	p.sent = append(p.sent, m)
	p.w.totals.Messages++
	if got := p.s.Send(point, binary.BigEndian.AppendUint64(nil, m.number), again); got != m.number {
		panic("another number")
	}
	return m
}

// finish lets a handler return, if what it waits for is there.
func (p *proc) finish(i int, patience bool) bool {
	h := p.handlers[i]
	if !h.begun {
		if !p.o.Outdated(h.Point) {
			return false
		}
		p.w.log("%v: the handler of %v does not begin", p, p.w.judge.msg(h.Message))
		p.w.totals.NotBegun++
		p.handlers = slices.Delete(p.handlers, i, i+1)
		p.o.NotBegun(h.Point)
		p.w.judge.holders(p)
		return true
	}
	if h.calls != nil && !h.calls.answered && !h.calls.told {
		if !patience || !p.o.Stopping(h.Point) {
			return false
		}
		p.w.totals.Impatient++
	}
	p.handlers = slices.Delete(p.handlers, i, i+1)
	p.w.judge.handled(p, h.Message)
	p.o.Handled(h.Point, nil)
	p.begin()
	p.w.judge.holders(p)
	return true
}

// endCall ends a call of a handler for which a stop waits.
func (p *proc) endCall() bool {
	for i := range p.handlers {
		if p.finish(i, true) {
			return true
		}
	}
	return false
}

// Give is [OwnerOutput].
func (p *proc) Give(op uint64, arc Arc) { p.ops = append(p.ops, operation{op: op, arc: arc}) }

// Take is [OwnerOutput].
func (p *proc) Take(op uint64, arc Arc, given []byte) {
	p.ops = append(p.ops, operation{op, arc, true, given})
}

// operate ends an operation.
func (p *proc) operate(i int) {
	w, x := p.w, p.ops[i]
	p.ops = slices.Delete(p.ops, i, i+1)
	ok := true
	if w.budget.fail > 0 && w.rng.IntN(2) == 0 {
		w.budget.fail--
		w.totals.Failed++
		ok = false
	}
	w.log("%v: operation %d on %v, take %v, ok %v", p, x.op, x.arc, x.take, ok)
	switch {
	case x.take && ok:
		var from map[uint64][]*msg
		if x.body != nil {
			from = w.snaps[binary.BigEndian.Uint64(x.body)]
		}
		for _, point := range w.points {
			if !x.arc.Has(point) {
				continue
			}
			if delete(p.state, point); len(from[point]) > 0 {
				p.state[point] = slices.Clone(from[point])
			}
		}
		p.o.TookState(x.op, true)
	case x.take:
		p.o.TookState(x.op, false)
	default:
		snap := map[uint64][]*msg{}
		for point, s := range p.state {
			if x.arc.Has(point) {
				snap[point] = slices.Clone(s)
			}
		}
		for _, h := range p.handlers {
			if x.arc.Has(h.Point) {
				w.judge.fail("%v gives %v while a handler runs at %x", p, x.arc, h.Point)
			}
		}
		w.snaps = append(w.snaps, snap)
		p.o.Gave(x.op, binary.BigEndian.AppendUint64(nil, uint64(len(w.snaps)-1)), ok)
	}
	w.judge.holders(p)
}

// Resume is [OwnerOutput].
func (p *proc) Resume(arc Arc) {
	p.w.totals.Resumed++
	p.w.log("%v resumes %v", p, arc)
}

// Drop is [OwnerOutput].
func (p *proc) Drop(arc Arc, lost bool) {
	p.w.log("%v drops %v, lost %v", p, arc, lost)
	if lost {
		p.w.judge.lost(p, arc)
		if !p.retires {
			p.w.judge.fail("%v loses %v", p, arc)
		}
	}
	for point := range p.state {
		if arc.Has(point) {
			delete(p.state, point)
		}
	}
}

// Left is [OwnerOutput].
func (p *proc) Left() { p.mayEnd = true }

// Over is [OwnerOutput].
func (p *proc) Over() {
	if !p.over {
		p.w.judge.fail("%v takes it that it is over", p)
	}
}
