package arc

import (
	"maps"
	"slices"
)

// What a source keeps at most.
const (
	maxUnanswered = 4096    // messages that are not answered: [Source.Room] says no
	maxBodies     = 8 << 20 // their bodies
	maxKnown      = 4096    // arcs of which it knows the holder: at the bound it forgets all
	maxHints      = 3       // followed one after the other, without a pause
)

// SourceOutput takes what a source does. Its methods must not call the source.
type SourceOutput interface {
	// Send sends a frame to a life: in order, and exactly once while both live.
	Send(to uint64, f Frame)
	// Guess returns a life that may hold a point, or 0. A wrong one costs time only.
	Guess(point uint64) uint64
	// Answered says that a message was handled, with the reply.
	Answered(number uint64, reply []byte)
	// Unknown says that a message may have been handled, and is not sent again.
	Unknown(number uint64)
	// Later asks for a [Source.Retry] after a while, and when members come or go.
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
		} else {
			s.ask(t, s.out.Guess(t.point))
		}
	}
}

func (s *Source) bind(t *target, k known) {
	delete(s.unbound, t.point)
	t.holder, t.term, t.sentTo = k.life, k.term, k.life
	t.least = k.term
	t.asked, t.hints, t.resting = 0, 0, false
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

func (s *Source) ask(t *target, life uint64) {
	if t.asked = life; life == 0 {
		s.rest(t)
		return
	}
	s.Asks++
	s.out.Send(life, Frame{Kind: Ask, Point: t.point})
}

func (s *Source) rest(t *target) {
	t.asked, t.hints, t.resting = 0, 0, true
	s.out.Later()
}

// Handle takes a frame of a life.
func (s *Source) Handle(from uint64, f Frame) {
	switch f.Kind {
	case Is:
		s.is(from, f)
	case No:
		t := s.targets[f.Point]
		switch {
		case t == nil || t.asked != from:
		case f.Life != 0 && f.Life != from && t.hints < maxHints:
			t.hints++
			s.ask(t, f.Life)
		default:
			s.rest(t)
		}
	case Ans:
		s.answer(f)
	}
}

// is takes the holder's word. It is for all points of the arc. A lower term than one that was heard
// is an older word.
func (s *Source) is(from uint64, f Frame) {
	if s.known.pieces() >= maxKnown {
		s.known = ranges[known]{}
	}
	s.known.update(f.Arc, func(k known) known {
		if f.Term >= k.term {
			k = known{from, f.Term}
		}
		return k
	})
	if t := s.targets[f.Point]; t != nil && t.asked == from && f.Term < t.least {
		s.rest(t)
	}
	for _, t := range sorted(s.unbound) {
		if !f.Arc.Has(t.point) || len(t.sent) > 0 || f.Term < t.least {
			continue
		}
		if k := s.known.at(t.point); k.life == from && k.term == f.Term {
			s.bind(t, k)
		}
	}
}

// sorted lists targets in one order.
func sorted(targets map[uint64]*target) (all []*target) {
	for _, point := range slices.Sorted(maps.Keys(targets)) {
		all = append(all, targets[point])
	}
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
	i := t.index(seq)
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

// Returned takes back a frame that was surely not handled, since the life has left, or had ended
// before it was sent.
func (s *Source) Returned(f Frame) {
	if t := s.sent[f.Seq]; f.Kind == Msg && t != nil {
		s.refused(t, f.Seq)
	} else if f.Kind == Ask {
		s.unasked(f.Point)
	}
}

func (s *Source) unasked(point uint64) {
	if t := s.targets[point]; t != nil && t.asked != 0 {
		s.rest(t)
	}
}

// Undelivered takes back frames that may have arrived, in their order. Their stream has ended, though
// both lives go on.
func (s *Source) Undelivered(frames []Frame) {
	lost := map[uint64]bool{}
	var targets []*target
	for _, f := range frames {
		if f.Kind == Ask {
			s.unasked(f.Point)
		}
		if t := s.sent[f.Seq]; f.Kind == Msg && t != nil {
			lost[f.Seq] = true
			if !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
	}
	for _, t := range targets {
		s.lose(t, func(m message) bool { return lost[m.seq] })
		s.advance(t)
	}
}

// lose ends the wait for answers to some of the sent messages. They are sent again, before later
// ones, or told.
func (s *Source) lose(t *target, lost func(message) bool) {
	var kept, again []message
	for _, m := range t.sent {
		switch {
		case !lost(m):
			kept = append(kept, m)
		case m.again:
			s.Repeats++
			delete(s.sent, m.seq)
			again = append(again, m)
		default:
			s.end(m)
			s.out.Unknown(m.number)
		}
	}
	t.sent, t.unsent = kept, append(again, t.unsent...)
}

// Gone takes the end of a life.
func (s *Source) Gone(life uint64) {
	s.known.update(Ring, func(k known) known {
		if k.life == life {
			k.life = 0
		}
		return k
	})
	for _, t := range sorted(s.targets) {
		if t.asked == life {
			t.asked = 0
		}
		if t.sentTo == life {
			t.sentTo = 0
			s.unbind(t)
			s.lose(t, func(message) bool { return true })
		}
		s.advance(t)
	}
}

// Retry asks again where no answer was of use.
func (s *Source) Retry() {
	for _, t := range sorted(s.unbound) {
		if t.resting {
			t.resting = false
			s.advance(t)
		}
	}
}
