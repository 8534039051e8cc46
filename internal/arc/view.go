package arc

import "iter"

// Piece is what an authority has decided for an arc. Without a holder it is free. With a receiver it
// moves there, under the term Move.
type Piece struct {
	Arc
	Holder, Term   uint64
	Receiver, Move uint64
}

// Pieces yields the arcs that have a holder, in order. The authority must not change meanwhile.
func (a *Authority) Pieces() iter.Seq[Piece] {
	return func(yield func(Piece) bool) {
		for arc, s := range a.arcs.walk(Ring) {
			if s.holder != 0 && !yield(Piece{arc, s.holder, s.term, s.receiver, s.move}) {
				return
			}
		}
	}
}

// Holder is the life that holds a point, or 0.
func (a *Authority) Holder(point uint64) uint64 { return a.arcs.at(point).holder }

// Arcs is the number of arcs that an owner holds, also those that it is about to give.
func (o *Owner) Arcs() (n int) {
	for _, p := range o.arcs.walk(Ring) {
		if p.phase == held || p.phase == stopping {
			n++
		}
	}
	return n
}

// Queued is the number of messages here whose handlers have not returned.
func (o *Owner) Queued() int { return o.queued }
