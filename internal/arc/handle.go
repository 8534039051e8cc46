package arc

import (
	"iter"
	"slices"
)

// message queues a message if this life holds its point under exactly its term.
func (o *Owner) message(m Message) {
	if p := o.arcs.at(m.Point); p.phase != held || p.term != m.Term {
		o.refuse(m)
		return
	}
	o.queued++
	q := append(o.queues[m.Point], m)
	o.queues[m.Point] = q
	if len(q) == 1 {
		o.out.Handle(m)
	}
}

func (o *Owner) refuse(m Message) {
	o.Refusals++
	o.out.Send(m.Source, Frame{Kind: Ans, Seq: m.Seq, Refused: true})
}

// Handled says that the handler at a point has returned.
func (o *Owner) Handled(point uint64, reply []byte) {
	q := o.queues[point]
	m := q[0]
	q[0] = Message{}
	o.queued--
	if o.queues[point] = q[1:]; len(q) == 1 {
		delete(o.queues, point)
	}
	o.out.Send(m.Source, Frame{Kind: Ans, Seq: m.Seq, Body: reply})
	if len(q) > 1 {
		o.out.Handle(q[1])
		return
	}
	if o.Stopping(point) {
		o.advance(o.arcs.piece(point))
	}
}

// Behind yields the messages that wait for the one whose handler is next, or runs, at a point. A
// message that a handler waits for must not be behind one that waits for that handler's place.
func (o *Owner) Behind(point uint64) iter.Seq[Message] {
	q := o.queues[point]
	return slices.Values(q[min(1, len(q)):])
}

// Outdated reports whether the message whose handler is next, or runs, at a point has lost its term. If
// its handler has not begun it must not wait for a place: see [Owner.NotBegun].
func (o *Owner) Outdated(point uint64) bool {
	q := o.queues[point]
	return len(q) > 0 && (o.Stopping(point) || o.arcs.at(point).term != q[0].Term)
}

// NotBegun says that the handler at a point which is [Owner.Outdated] has not begun and will not: its
// message is refused. So no move, and no message behind it, waits for a handler that itself waits for
// a place.
func (o *Owner) NotBegun(point uint64) {
	q := o.queues[point]
	o.queued--
	o.refuse(q[0])
	if len(q) > 1 {
		o.queues[point] = slices.Clone(q[1:])
		o.out.Handle(q[1])
		return
	}
	delete(o.queues, point)
	o.advance(o.arcs.piece(point))
}

// busy reports whether handlers run in an arc.
func (o *Owner) busy(arc Arc) bool {
	for point := range o.queues {
		if arc.Has(point) {
			return true
		}
	}
	return false
}

// refuseQueued refuses the messages in an arc whose handlers have not begun.
func (o *Owner) refuseQueued(arc Arc) {
	var points []uint64
	for point := range o.queues {
		if arc.Has(point) {
			points = append(points, point)
		}
	}
	slices.Sort(points)
	for _, point := range points {
		q := o.queues[point]
		for _, m := range q[1:] {
			o.refuse(m)
		}
		o.queued -= len(q) - 1
		o.queues[point] = slices.Clone(q[:1])
	}
}

// ask answers an Ask. It waits where this life is about to hold.
func (o *Owner) ask(from, point uint64) {
	switch p := o.arcs.at(point); {
	case p.phase == held:
		o.out.Send(from, Frame{Kind: Is, Arc: o.arcs.piece(point), Term: p.term, Point: point})
	case p.phase == wanted && len(o.parked) < maxParked:
		if a := (ask{from, point}); !slices.Contains(o.parked, a) {
			o.Parked++
			o.parked = append(o.parked, a)
		}
	case p.phase == wanted || p.phase == ending:
		o.out.Send(from, Frame{Kind: No, Point: point})
	default:
		o.out.Send(from, Frame{Kind: No, Point: point, Life: p.peer})
	}
}

// unpark takes the asks in an arc out of those that wait.
func (o *Owner) unpark(arc Arc) (out []ask) {
	kept := o.parked[:0]
	for _, a := range o.parked {
		if arc.Has(a.point) {
			out = append(out, a)
		} else {
			kept = append(kept, a)
		}
	}
	o.parked = kept
	return out
}

func (o *Owner) answerParked(arc Arc, term uint64) {
	for _, a := range o.unpark(arc) {
		o.out.Send(a.from, Frame{Kind: Is, Arc: arc, Term: term, Point: a.point})
	}
}

func (o *Owner) refuseParked(arc Arc) {
	for _, a := range o.unpark(arc) {
		o.out.Send(a.from, Frame{Kind: No, Point: a.point})
	}
}
