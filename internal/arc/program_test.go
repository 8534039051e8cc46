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

// Handle is [OwnerOutput]. Some handlers call a later point.
func (p *proc) Handle(m Message) {
	h := &handler{Message: m}
	p.handlers = append(p.handlers, h)
	p.w.judge.begin(p, m)
	if b := &p.w.budget.call; *b > 0 && p.w.rng.IntN(3) == 0 {
		*b--
		if i := slices.Index(p.w.points, m.Point); i+1 < len(p.w.points) {
			h.calls = p.send(p.w.points[i+1+p.w.rng.IntN(len(p.w.points)-i-1)], false)
			p.w.log("%v: the handler of %v calls %v", p, p.w.judge.msg(m), h.calls)
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
	if h.calls != nil && !h.calls.answered && !h.calls.told {
		if !patience || !p.o.Stopping(h.Point) {
			return false
		}
		p.w.totals.Impatient++
	}
	p.handlers = slices.Delete(p.handlers, i, i+1)
	p.w.judge.handled(p, h.Message)
	p.o.Handled(h.Point, nil)
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
