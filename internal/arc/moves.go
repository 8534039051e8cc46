package arc

// grant takes a Grant. One with an older term than what is known of a point is void: the
// authority has decided something else since.
func (o *Owner) grant(arc Arc, term, from uint64) {
	if o.retired {
		return
	}
	for sub, p := range o.arcs.within(arc) {
		if term <= p.term || p.phase == ending {
			continue
		}
		switch {
		case from != 0:
			if p.phase != none {
				p = o.discard(sub, p)
			}
			o.want(sub, piece{phase: wanted, term: term, peer: from, op: p.op, stale: p.stale})
		case p.phase == held:
			o.arcs.set(sub, piece{phase: held, term: term})
			o.refuseQueued(sub)
		case p.phase == stopping || p.phase == copied:
			o.arcs.set(sub, piece{phase: wanted, term: term, op: p.op, has: true, resume: p.phase == copied || p.op != 0})
		case p.phase == wanted:
			p.term, p.peer = term, 0
			o.arcs.set(sub, p)
		default:
			o.arcs.set(sub, piece{phase: wanted, term: term, op: p.op, stale: p.stale})
		}
	}
}

// want pulls an arc from its giver.
func (o *Owner) want(arc Arc, p piece) {
	o.arcs.set(arc, p)
	o.out.Send(p.peer, Frame{Kind: Pull, Arc: arc, Term: p.term})
}

// discard ends what a piece was for. A life that would have to discard what it holds is over.
func (o *Owner) discard(arc Arc, p piece) piece {
	switch {
	case p.phase == held || p.phase == stopping || p.phase == wanted && p.resume:
		o.out.Over()
	case p.phase == copied || p.has:
		o.out.Drop(arc, false)
	}
	p = piece{op: p.op, stale: p.op != 0}
	o.arcs.set(arc, p)
	o.refuseParked(arc)
	return p
}

// pull takes a Pull. What this life holds under a lower term it stops; what it has given is given
// again; for what it does not hold yet the Pull waits. Its Grant is older than the Pull. So if a later
// one has come there is none on its way, and the Pull is one that comes again.
func (o *Owner) pull(from uint64, arc Arc, term uint64) {
	if term <= o.bar {
		return
	}
	for sub, p := range o.arcs.within(arc) {
		switch {
		case p.phase == held && term > p.term && !o.frozen:
			o.stop(sub, piece{phase: stopping, term: term, peer: from})
		case p.phase == copied && term == p.term && from == p.peer:
			if p.op == 0 {
				o.read(sub, p)
			}
		case p.phase == none && term <= o.latest:
		case term > p.term && o.pulls.size() < maxPieces:
			o.pulls.update(sub, func(w pull) pull {
				if w.term < term {
					w = pull{from, term}
				}
				return w
			})
		}
	}
}

// stop ends the handling in an arc: what is queued is refused, and what runs is waited for.
func (o *Owner) stop(arc Arc, p piece) {
	o.arcs.set(arc, p)
	o.refuseQueued(arc)
}

// read begins a Give.
func (o *Owner) read(arc Arc, p piece) {
	p.op, p.failed = o.operation(arc), false
	o.arcs.set(arc, p)
	o.out.Give(p.op, arc)
}

func (o *Owner) operation(arc Arc) uint64 {
	o.lastOp++
	o.ops[o.lastOp] = arc
	return o.lastOp
}

// ended returns the arc of an operation that has ended.
func (o *Owner) ended(op uint64) (arc Arc) {
	arc = o.ops[op]
	delete(o.ops, op)
	return arc
}

// Gave has the state that [OwnerOutput].Give was to read, if it is ok.
func (o *Owner) Gave(op uint64, state []byte, ok bool) {
	whole := o.ended(op)
	for arc, p := range o.arcs.within(whole) {
		if p.op != op {
			continue
		}
		p.op = 0
		switch {
		case p.stale:
			o.again(arc, p)
			continue
		case p.phase != stopping && p.phase != copied: // it is to resume
		case !ok:
			p.failed = true
		default:
			p.phase = copied
			o.out.Send(p.peer, Frame{Kind: Give, Arc: arc, Term: p.term, Body: state})
		}
		o.arcs.set(arc, p)
	}
	o.advance(whole)
}

// take takes a Give, if it is exactly what this life wants. Before Orders it does not hold what it took.
func (o *Owner) take(from uint64, f Frame) {
	for arc, p := range o.arcs.within(f.Arc) {
		if p.phase == wanted && p.term == f.Term && p.peer == from && p.op == 0 && !p.has {
			o.load(arc, p, f.Body)
		}
	}
}

// again goes on after an operation that was for nothing. What was given meanwhile was not taken.
func (o *Owner) again(arc Arc, p piece) {
	p.stale = false
	if o.arcs.set(arc, p); p.phase == wanted && p.peer != 0 {
		o.want(arc, p)
	}
}

// load begins a Take.
func (o *Owner) load(arc Arc, p piece, state []byte) {
	p.op, p.failed = o.operation(arc), false
	o.arcs.set(arc, p)
	o.out.Take(p.op, arc, state)
}

// TookState says that a Take has ended, and whether the state is here.
func (o *Owner) TookState(op uint64, ok bool) {
	whole := o.ended(op)
	for arc, p := range o.arcs.within(whole) {
		if p.op != op {
			continue
		}
		p.op = 0
		switch {
		case p.stale:
			if ok {
				o.out.Drop(arc, false)
			}
			o.again(arc, p)
			continue
		case ok:
			p.has = true
		default:
			p.failed = true
		}
		o.arcs.set(arc, p)
	}
	o.advance(whole)
}

// Failed reports whether a Give or Take has failed and waits for [Owner.Retry].
func (o *Owner) Failed() bool {
	for _, p := range o.arcs.walk(Ring) {
		if p.failed {
			return true
		}
	}
	return false
}

// Retry runs again what has failed. The giver still has the state.
func (o *Owner) Retry() {
	for arc, p := range o.arcs.within(Ring) {
		if !p.failed {
			continue
		}
		p.failed = false
		switch {
		case p.phase == wanted && p.peer != 0:
			o.want(arc, p)
		case p.phase == copied:
			o.read(arc, p)
		default:
			o.arcs.set(arc, p)
		}
	}
	o.advance(Ring)
}

// settled drops the copies of a move that is over.
func (o *Owner) settled(arc Arc, term uint64) {
	for sub, p := range o.arcs.within(arc) {
		if p.phase == copied && p.term == term {
			o.discard(sub, p)
		}
	}
	o.voidPulls(arc, term)
}

// voidPulls forgets pulls under terms that are over.
func (o *Owner) voidPulls(arc Arc, term uint64) {
	o.pulls.update(arc, func(w pull) pull {
		if w.term <= term {
			return pull{}
		}
		return w
	})
}

// advance does what an arc is ready for.
func (o *Owner) advance(arc Arc) {
	for sub, p := range o.arcs.within(arc) {
		if p.op != 0 || p.failed {
			continue
		}
		switch p.phase {
		case wanted:
			switch {
			case p.has && (p.peer == 0 || !o.frozen):
				o.held(sub, p)
			case !p.has && p.peer == 0:
				o.load(sub, p, nil)
			}
		case stopping:
			if whole := o.arcs.piece(sub.First); !o.busy(whole) {
				o.read(whole, p)
			}
		case ending:
			if !o.busy(sub) {
				o.out.Drop(sub, true)
				o.arcs.set(sub, piece{})
			}
		}
	}
	if o.retired && !o.left && o.empty() {
		o.left = true
		o.out.Tell(Frame{Kind: Left})
		o.out.Left()
	}
}

// held begins to handle.
func (o *Owner) held(arc Arc, p piece) {
	if p.resume {
		o.out.Resume(arc)
	}
	o.arcs.set(arc, piece{phase: held, term: p.term})
	if p.peer != 0 {
		o.out.Tell(Frame{Kind: Took, Arc: arc, Term: p.term})
	}
	o.answerParked(arc, p.term)
	o.wake(arc)
}

// wake repeats the pulls that have waited.
func (o *Owner) wake(arc Arc) {
	for sub, w := range o.pulls.within(arc) {
		if w.from != 0 {
			o.pulls.set(sub, pull{})
			o.pull(w.from, sub, w.term)
			o.advance(sub)
		}
	}
}

// retire drops what no other owner can take.
func (o *Owner) retire() {
	if o.retired {
		return
	}
	o.retired = true
	for arc, p := range o.arcs.within(Ring) {
		switch {
		case p.phase == held || p.phase == stopping || p.phase == wanted && p.has:
			o.stop(arc, piece{phase: ending, term: p.term, op: p.op})
		case p.phase == copied:
			o.discard(arc, p)
		default:
			o.arcs.set(arc, piece{op: p.op, stale: p.op != 0})
		}
		o.refuseParked(arc)
	}
	o.pulls.set(Ring, pull{})
	o.advance(Ring)
}

// empty reports whether nothing is left of what this life has held.
func (o *Owner) empty() bool {
	for _, p := range o.arcs.walk(Ring) {
		if p.phase != none || p.op != 0 {
			return false
		}
	}
	return true
}
