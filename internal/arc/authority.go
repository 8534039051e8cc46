package arc

import (
	"cmp"
	"maps"
	"math"
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
	retired  bool         // it was told so, and gets no more arcs
	left     bool         // it holds nothing any more
	part     ranges[bool] // where it is holder or receiver
}

// Authority decides which life holds which points. It is not safe for concurrent use.
type Authority struct {
	out        AuthorityOutput
	place      Placement     // of the owners that do not retire
	draw       func() uint64 // a new term, greater than all before
	owners     map[uint64]*owner
	retiring   map[uint64]*owner // and are not retired
	arcs       ranges[state]
	latest     uint64 // the term drawn last
	bar        uint64
	recovering bool
	cuts       int

	Moves, Merges uint64 // counters
}

// NewAuthority returns the authority of a registry. draw returns terms, see the package comment. One
// that recovers waits for the reports of an earlier registry's owners, until [Authority.Recovered].
func NewAuthority(draw func() uint64, recovering bool, out AuthorityOutput) *Authority {
	a := &Authority{out: out, draw: draw, owners: map[uint64]*owner{}, retiring: map[uint64]*owner{}, recovering: recovering, cuts: maxCuts}
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
		a.retire(o)
		a.settleAt(o)
		a.retireReady()
	case f.Kind == Left:
		a.left(o)
	case f.Kind == Took:
		a.took(o, f.Arc, f.Term)
	case f.Kind == Ask:
		s := a.arcs.at(f.Point)
		a.out.Tell(life, Frame{Kind: No, Point: f.Point, Life: cmp.Or(s.receiver, s.holder)})
	}
}

// retire takes an owner's wish to hold nothing.
func (a *Authority) retire(o *owner) {
	if !o.retiring {
		o.retiring = true
		a.retiring[o.Life] = o
		a.place.Remove(o.Life)
	}
}

// left takes a retired owner's word that it holds nothing.
func (a *Authority) left(o *owner) {
	if !o.left {
		o.left = true
		a.release(o)
	}
}

// Gone takes the end of a life.
func (a *Authority) Gone(life uint64) {
	if o := a.owners[life]; o != nil {
		delete(a.owners, life)
		delete(a.retiring, life)
		a.place.Remove(life)
		a.release(o)
		a.settleAt(o)
		a.retireReady()
	}
}

// release decides what a life has held, was to receive or to give.
func (a *Authority) release(o *owner) {
	life := o.Life
	type grant struct {
		Arc
		to uint64
	}
	var grants []grant
	var parts []Arc
	for part, is := range o.part.walk(Ring) {
		if is {
			parts = append(parts, part)
		}
	}
	for _, part := range parts {
		for arc, s := range a.arcs.within(part) {
			other := uint64(0)
			switch {
			case s.receiver == 0:
				a.set(arc, state{})
			case s.receiver == life:
				other = s.holder
			default:
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
	}
	for _, g := range grants {
		a.hold(g.Arc, g.to)
	}
	for _, part := range parts {
		a.settle(part)
	}
	a.retireReady()
}

// took takes the end of a move.
func (a *Authority) took(o *owner, arc Arc, term uint64) {
	var done []Arc
	for part, is := range o.part.walk(arc) {
		if !is {
			continue
		}
		for sub, s := range a.arcs.walk(part) {
			if s.receiver == o.Life && s.move == term {
				done = append(done, sub)
			}
		}
	}
	for _, sub := range done {
		a.out.Tell(a.arcs.at(sub.First).holder, Frame{Kind: Settled, Arc: sub, Term: term})
		a.set(sub, state{holder: o.Life, term: term})
	}
	for _, sub := range done {
		a.settle(sub)
	}
	if len(done) > 0 {
		a.retireReady()
	}
}

// update replaces what is decided in an arc, and what its lives take part in.
func (a *Authority) update(arc Arc, f func(state) state) {
	a.takesPart(arc, false)
	a.arcs.update(arc, f)
	a.takesPart(arc, true)
}

func (a *Authority) takesPart(arc Arc, is bool) {
	for sub, s := range a.arcs.walk(arc) {
		for _, life := range [2]uint64{s.holder, s.receiver} {
			if o := a.owners[life]; o != nil {
				o.part.set(sub, is)
			}
		}
	}
}

func (a *Authority) set(arc Arc, s state) { a.update(arc, func(state) state { return s }) }

// hold makes a life the holder of an arc under a new term.
func (a *Authority) hold(arc Arc, life uint64) {
	term := a.next()
	a.set(arc, state{holder: life, term: term})
	a.out.Tell(life, Frame{Kind: Grant, Arc: arc, Term: term})
}

// move begins a move. The arc may have several terms.
func (a *Authority) move(arc Arc, from, to uint64) {
	a.Moves++
	term := a.next()
	a.update(arc, func(s state) state {
		s.receiver, s.move = to, term
		return s
	})
	a.out.Tell(to, Frame{Kind: Grant, Arc: arc, Term: term, Life: from})
}

// settleAt settles the shares that an owner has gained, or lost, and what it has left of those behind:
// they may have waited for a move in its part to get one term.
func (a *Authority) settleAt(o *owner) {
	if len(o.Positions) == 0 {
		return
	}
	for _, at := range o.Positions {
		a.settle(Arc{at, max(at, at+1)})
	}
	a.settle(Arc{math.MaxUint64, math.MaxUint64}) // the rest of the share of the first position is here
}

// settle begins all moves in the shares around an arc that may begin.
func (a *Authority) settle(arc Arc) {
	if a.recovering {
		return
	}
	for share := range a.place.shares(arc) {
		a.give(share)
		a.merge(share)
	}
}

// retireReady retires the owners that wait for it, and may be.
func (a *Authority) retireReady() {
	if a.recovering {
		return
	}
	for _, life := range slices.Sorted(maps.Keys(a.retiring)) {
		if o := a.retiring[life]; a.mayRetire(o) {
			o.retired = true
			delete(a.retiring, life)
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
	for arc, s := range a.arcs.walk(share.Arc) {
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
	for _, s := range a.arcs.walk(share.Arc) {
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
func (a *Authority) mayRetire(o *owner) bool {
	if o.part.zero() || len(a.place.all) > 0 {
		return o.part.zero()
	}
	for part, is := range o.part.walk(Ring) {
		if !is {
			continue
		}
		for _, s := range a.arcs.walk(part) {
			if s.receiver != 0 {
				return false
			}
		}
	}
	return true
}
