package arc

import (
	"cmp"
	"slices"
)

// What a source keeps at most.
const (
	maxUnanswered = 4096    // messages that are not answered: [Source.Room] says no
	maxBodies     = 8 << 20 // their bodies
	maxKnown      = 4096    // arcs of which it knows something: at the bound it forgets all
	maxHints      = 3       // followed one after the other, without a pause
)

// SourceOutput takes what a source does. Its methods must not call the source.
type SourceOutput interface {
	// Send sends a frame to a life: in order, and exactly once while both live.
	// What is for the [Registry] is dropped while there is no connection.
	Send(to uint64, f Frame)
	// Guess returns a life that may hold a point, or 0. A wrong one costs time only.
	Guess(point uint64) uint64
	// Reachable reports whether the node can send to a life: it has heard of it, and not of its end.
	Reachable(life uint64) bool
	// Answered says that a message was handled, with the reply.
	Answered(number uint64, reply []byte)
	// Unknown says that a message may have been handled, and is not sent again.
	Unknown(number uint64)
	// Later asks for a [Source.Retry] after a while, and when members come or go. It is called for a
	// point that rests, and for one that has asked the authority, which may not have heard it.
	Later()
}

// message is one that is not answered.
type message struct {
	number, seq uint64
	again       bool
	body        []byte
}

// target is what a source knows of a point with messages that are not answered.
type target struct {
	point        uint64
	holder, term uint64    // bound, if there is a holder
	sentTo       uint64    // where the messages in sent are
	sent         []message // not answered, in order
	unsent       []message // behind them
	asked        uint64    // the life that was asked
	hints        int       // that were followed
	final        bool      // the authority was asked, the last of a round
	resting      bool      // until Retry
	least        uint64    // terms below it are over here
}

// known is what a source has heard of a point: the holder, if it is not 0. A lower term is older.
type known struct{ life, term uint64 }

// Source is the state of a life that sends to points. It is not safe for concurrent use.
type Source struct {
	out     SourceOutput
	targets map[uint64]*target // by point
	unbound map[uint64]*target // those without a holder
	sent    map[uint64]*target // by seq
	known   ranges[known]

	lastNumber, lastSeq uint64
	unanswered, bytes   int

	Refusals, Repeats, Asks uint64 // counters
}

// NewSource returns the state of a life that has sent nothing.
func NewSource(out SourceOutput) *Source {
	return &Source{out: out, targets: map[uint64]*target{}, unbound: map[uint64]*target{}, sent: map[uint64]*target{}}
}

// Room reports whether there is room for a message.
func (s *Source) Room(length int) bool {
	return s.unanswered < maxUnanswered && (s.bytes+length <= maxBodies || s.bytes == 0)
}

// Unanswered is the number of messages that have no outcome.
func (s *Source) Unanswered() int { return s.unanswered }

// Send sends a message. If its outcome is unknown it is sent once more if again is set, and else
// told. The body stays with the source. The number is that of the message.
func (s *Source) Send(point uint64, body []byte, again bool) (number uint64) {
	t := s.targets[point]
	if t == nil {
		t = &target{point: point}
		s.targets[point], s.unbound[point] = t, t
	}
	s.lastNumber++
	s.unanswered++
	s.bytes += len(body)
	t.unsent = append(t.unsent, message{number: s.lastNumber, again: again, body: body})
	s.advance(t)
	return s.lastNumber
}

// advance does what a target is ready for.
func (s *Source) advance(t *target) {
	switch {
	case len(t.sent)+len(t.unsent) == 0:
		delete(s.targets, t.point)
		delete(s.unbound, t.point)
	case len(t.unsent) == 0:
	case t.holder != 0:
		s.flush(t)
	case len(t.sent) > 0 || t.asked != 0 || t.resting: // the sent ones first; an answer; Retry
	default:
		if k := s.known.at(t.point); k.life != 0 && k.term >= t.least {
			s.bind(t, k)
		} else if guess := s.out.Guess(t.point); guess != 0 && s.out.Reachable(guess) {
			s.ask(t, guess)
		} else {
			s.askNext(t, 0)
		}
	}
}

func (s *Source) bind(t *target, k known) {
	delete(s.unbound, t.point)
	t.holder, t.term, t.sentTo = k.life, k.term, k.life
	t.least = k.term
	t.begin()
	s.flush(t)
}

// flush sends what is unsent.
func (s *Source) flush(t *target) {
	out := t.unsent
	t.unsent = nil
	for _, m := range out {
		s.lastSeq++
		m.seq = s.lastSeq
		s.sent[m.seq] = t
		t.sent = append(t.sent, m)
		s.out.Send(t.holder, Frame{Kind: Msg, Point: t.point, Term: t.term, Seq: m.seq, Body: m.body})
	}
}

// begin lets the next Ask be the first one of a round.
func (t *target) begin() { t.asked, t.hints, t.final, t.resting = 0, 0, false, false }

func (s *Source) ask(t *target, life uint64) {
	t.asked = life
	s.Asks++
	s.out.Send(life, Frame{Kind: Ask, Point: t.point})
}

// askNext asks elsewhere, if there is no guess, or the last answer was of no use: the hint, then
// the authority, and the hints that follow from there. Then the point rests.
func (s *Source) askNext(t *target, hint uint64) {
	switch {
	case hint != 0 && hint != t.asked && t.hints < maxHints && s.out.Reachable(hint):
		t.hints++
		s.ask(t, hint)
	case !t.final:
		t.hints, t.final = 0, true
		s.ask(t, Registry)
		s.out.Later()
	default:
		t.begin()
		t.resting = true
		s.out.Later()
	}
}

// Handle takes a frame of a life, or of the authority.
func (s *Source) Handle(from uint64, f Frame) {
	switch f.Kind {
	case Is:
		s.is(from, f)
	case No:
		if t := s.targets[f.Point]; t != nil && t.asked == from {
			s.askNext(t, f.Life)
		}
	case Ans:
		s.answer(f)
	case Closed:
		s.closed(from)
	}
}

// is takes the holder's word. It is for all points of the arc. A lower term than one that was heard
// is an older word.
func (s *Source) is(from uint64, f Frame) {
	if s.known.size() >= maxKnown {
		s.known = ranges[known]{}
	}
	s.known.update(f.Arc, func(k known) known {
		if f.Term >= k.term {
			k = known{from, f.Term}
		}
		return k
	})
	if t := s.targets[f.Point]; t != nil && t.asked == from && f.Term < t.least {
		s.askNext(t, 0)
	}
	for _, t := range sorted(s.unbound, func(t *target) bool { return f.Arc.Has(t.point) && len(t.sent) == 0 && f.Term >= t.least }) {
		if k := s.known.at(t.point); k.life == from && k.term == f.Term {
			s.bind(t, k)
		}
	}
}

// sorted lists some targets by their points.
func sorted(targets map[uint64]*target, some func(*target) bool) (all []*target) {
	for _, t := range targets {
		if some(t) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(t, u *target) int { return cmp.Compare(t.point, u.point) })
	return all
}

// answer takes an answer. One for a seq that is not among the sent ones is for no message any more.
func (s *Source) answer(f Frame) {
	t := s.sent[f.Seq]
	if t == nil {
		return
	}
	if f.Refused {
		s.refused(t, f.Seq)
		return
	}
	i := t.index(f.Seq)
	m := t.sent[i]
	t.sent = slices.Delete(t.sent, i, i+1)
	s.end(m)
	s.out.Answered(m.number, f.Body)
	s.advance(t)
}

func (t *target) index(seq uint64) int {
	return slices.IndexFunc(t.sent, func(m message) bool { return m.seq == seq })
}

func (s *Source) end(m message) {
	delete(s.sent, m.seq)
	s.unanswered--
	s.bytes -= len(m.body)
}

// refused takes a refusal: of this message, and of those behind it. Their holder has lost its term.
func (s *Source) refused(t *target, seq uint64) {
	s.Refusals++
	s.takeBack(t, t.index(seq))
}

// takeBack ends the use of a term: the messages from here on were surely not handled under it.
func (s *Source) takeBack(t *target, i int) {
	back := slices.Clone(t.sent[i:])
	t.sent = slices.Clip(t.sent[:i])
	for _, m := range back {
		delete(s.sent, m.seq)
	}
	t.unsent = append(back, t.unsent...)
	s.unbind(t)
	s.advance(t)
}

// unbind ends the use of a term.
func (s *Source) unbind(t *target) {
	if t.holder == 0 {
		return
	}
	if k := s.known.at(t.point); k.term == t.term {
		s.known.set(s.known.piece(t.point), known{term: k.term}) // other points may still be there: they ask
	}
	t.holder, t.least = 0, t.term+1
	s.unbound[t.point] = t
}

// closed takes the last word of a life that leaves. All that it has handled it has answered before. So
// what has no answer goes elsewhere.
func (s *Source) closed(life uint64) {
	s.forget(life)
	for _, t := range sorted(s.targets, func(t *target) bool { return t.sentTo == life }) {
		s.takeBack(t, 0)
	}
}

// forget forgets that a life holds something.
func (s *Source) forget(life uint64) {
	s.known.update(Ring, func(k known) known {
		if k.life == life {
			k.life = 0
		}
		return k
	})
}

// lose ends the wait for answers to the sent messages. They are sent again, before later ones, or
// told.
func (s *Source) lose(t *target) {
	var again []message
	for _, m := range t.sent {
		if m.again {
			s.Repeats++
			delete(s.sent, m.seq)
			again = append(again, m)
		} else {
			s.end(m)
			s.out.Unknown(m.number)
		}
	}
	t.sent, t.unsent = nil, append(again, t.unsent...)
}

// Gone takes the end of a life.
func (s *Source) Gone(life uint64) {
	s.forget(life)
	for _, t := range sorted(s.targets, func(t *target) bool { return t.asked == life || t.sentTo == life }) {
		if t.asked == life {
			t.asked = 0
		}
		if t.sentTo == life {
			t.sentTo = 0
			s.unbind(t)
			s.lose(t)
		}
		s.advance(t)
	}
}

// Retry asks again where no answer was of use, and where the authority has not answered.
func (s *Source) Retry() {
	for _, t := range sorted(s.unbound, func(t *target) bool { return t.resting || t.asked == Registry }) {
		t.begin()
		s.advance(t)
	}
}
