package arc

import (
	"cmp"
	"maps"
	"slices"
)

// maxCuts is how many pieces of one holder may lie in an arc that one owner should hold. They differ
// in their terms. With more, the whole arc gets a new term.
const maxCuts = 4

// AuthorityOutput takes what an authority does. Its methods must not call the authority. What is for
// a life without a connection on which its report has come must be dropped: Orders will say it.
type AuthorityOutput interface {
	Tell(life uint64, f Frame)
	Orders(life uint64, o Orders)
	// Refused says that a life's report has holdings of which this authority knows nothing. The life is
	// over. Its node may begin another one.
	Refused(life uint64)
}

// state is what an authority decides for a point. Zero is free. A move has a receiver.
type state struct {
	holder, term   uint64
	receiver, move uint64 // move is the term of the receiver
}

// owner is a life that has reported. One without positions holds nothing: it may ask.
type owner struct {
	Member
	report   Report // while the authority recovers
	retiring bool
	retired  bool // it was told so, and gets no more arcs
	left     bool // it holds nothing any more
}

// Authority decides which life holds which points. It is not safe for concurrent use.
type Authority struct {
	out        AuthorityOutput
	place      Placement
	draw       func() uint64 // a new term, greater than all before
	owners     map[uint64]*owner
	arcs       ranges[state]
	latest     uint64 // the term drawn last
	bar        uint64
	recovering bool
	cuts       int

	Moves, Merges uint64 // counters
}

// NewAuthority returns the authority of a registry. draw returns terms, see the package comment. One
// that recovers waits for the reports of an earlier registry's owners, until [Authority.Recovered].
func NewAuthority(place Placement, draw func() uint64, recovering bool, out AuthorityOutput) *Authority {
	a := &Authority{out: out, place: place, draw: draw, owners: map[uint64]*owner{}, recovering: recovering, cuts: maxCuts}
	if !recovering {
		a.bar = a.next()
	}
	return a
}

// next draws a term.
func (a *Authority) next() uint64 {
	a.latest = a.draw()
	return a.latest
}

// lives lists the owners in one order for all.
func (a *Authority) lives() []uint64 { return slices.Sorted(maps.Keys(a.owners)) }

// Handle takes a frame of a life that has reported.
func (a *Authority) Handle(life uint64, f Frame) {
	o := a.owners[life]
	switch {
	case o == nil:
	case f.Kind == Retire:
		o.retiring = true
		a.settle()
	case f.Kind == Left:
		a.left(life)
	case f.Kind == Took:
		a.took(life, f.Arc, f.Term)
	case f.Kind == Ask:
		s := a.arcs.at(f.Point)
		a.out.Tell(life, Frame{Kind: No, Point: f.Point, Life: cmp.Or(s.receiver, s.holder)})
	}
}

// left takes a retired owner's word that it holds nothing.
func (a *Authority) left(life uint64) {
	if o := a.owners[life]; o != nil && !o.left {
		o.left = true
		a.release(life)
		a.settle()
	}
}

// Gone takes the end of a life.
func (a *Authority) Gone(life uint64) {
	if a.owners[life] != nil {
		delete(a.owners, life)
		a.release(life)
		a.settle()
	}
}

// release decides what a life has held, was to receive or to give.
func (a *Authority) release(life uint64) {
	type grant struct {
		Arc
		to uint64
	}
	var grants []grant
	for arc, s := range a.arcs.within(Ring) {
		other := uint64(0)
		switch {
		case s.receiver == 0 && s.holder == life:
			a.arcs.set(arc, state{})
		case s.receiver == life:
			other = s.holder
		case s.receiver != 0 && s.holder == life:
			other = s.receiver
		}
		if n := len(grants); other == 0 {
			continue
		} else if n > 0 && grants[n-1].to == other && grants[n-1].before(arc) {
			grants[n-1].Last = arc.Last
		} else {
			grants = append(grants, grant{arc, other})
		}
	}
	for _, g := range grants {
		a.hold(g.Arc, g.to)
	}
}

// took takes the end of a move.
func (a *Authority) took(life uint64, arc Arc, term uint64) {
	done := false
	for sub, s := range a.arcs.within(arc) {
		if s.receiver == life && s.move == term {
			a.arcs.set(sub, state{holder: life, term: term})
			a.out.Tell(s.holder, Frame{Kind: Settled, Arc: sub, Term: term})
			done = true
		}
	}
	if done {
		a.settle()
	}
}

// hold makes a life the holder of an arc under a new term.
func (a *Authority) hold(arc Arc, life uint64) {
	term := a.next()
	a.arcs.set(arc, state{holder: life, term: term})
	a.out.Tell(life, Frame{Kind: Grant, Arc: arc, Term: term})
}

// move begins a move. The arc may have several terms.
func (a *Authority) move(arc Arc, from, to uint64) {
	a.Moves++
	term := a.next()
	a.arcs.update(arc, func(s state) state {
		s.receiver, s.move = to, term
		return s
	})
	a.out.Tell(to, Frame{Kind: Grant, Arc: arc, Term: term, Life: from})
}

// settle begins all moves that may begin, and retires owners.
func (a *Authority) settle() {
	if a.recovering {
		return
	}
	var offers []Member
	for _, life := range a.lives() {
		if o := a.owners[life]; !o.retiring && len(o.Positions) > 0 {
			offers = append(offers, o.Member)
		}
	}
	for _, share := range a.place(offers) {
		a.give(share)
		a.merge(share)
	}
	for _, life := range a.lives() {
		if o := a.owners[life]; o.retiring && !o.retired && a.mayRetire(life, len(offers) > 0) {
			o.retired = true
			a.out.Tell(life, Frame{Kind: Retired})
		}
	}
}

// give begins to give a life its share. What a retired owner still holds is lost, and free when it
// has dropped it.
func (a *Authority) give(share Share) {
	type run struct {
		Arc
		from uint64
	}
	var runs []run
	for arc, s := range a.arcs.within(share.Arc) {
		if s.receiver != 0 || s.holder == share.Life || s.holder != 0 && a.owners[s.holder].retired {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].from == s.holder && runs[n-1].before(arc) {
			runs[n-1].Last = arc.Last
		} else {
			runs = append(runs, run{arc, s.holder})
		}
	}
	for _, r := range runs {
		if r.from == 0 {
			a.hold(r.Arc, share.Life)
		} else {
			a.move(r.Arc, r.from, share.Life)
		}
	}
}

// merge gives a share that has many terms one term.
func (a *Authority) merge(share Share) {
	pieces := 0
	for _, s := range a.arcs.within(share.Arc) {
		if s.receiver != 0 || s.holder != share.Life {
			return
		}
		pieces++
	}
	if pieces > a.cuts {
		a.Merges++
		a.hold(share.Arc, share.Life)
	}
}

// mayRetire reports whether an owner takes no part in a move, and either holds nothing, or no other
// owner can take what it holds.
func (a *Authority) mayRetire(life uint64, others bool) bool {
	for _, s := range a.arcs.value {
		if s.receiver == life || s.holder == life && (s.receiver != 0 || others) {
			return false
		}
	}
	return true
}
