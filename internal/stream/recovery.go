package stream

import "github.com/x/ringdht/internal/wire"

// question is a Sync: when it left, everything below seq had been sent.
type question struct {
	round uint32
	seq   uint64
	at    Time
}

// questions are those that the sink was asked. Any answer answers all questions
// up to its round, so two are enough to remember: were it only the latest, then
// one that asks again before the answer comes (because it flushes often, or
// because the path takes longer than MaxRTO) would never hear one.
type questions struct {
	unanswered     bool
	askedAhead     bool     // the latest question left right before a message
	sinceAsked     int      // bytes sent for the first time since the latest question
	oldest, latest question // oldest: of the unanswered ones
	watched        question // how long deliveries take is measured with this one; none if its time is 0
}

func (q *questions) ask(seq uint64, now Time) {
	q.latest = question{q.latest.round + 1, seq, now}
	q.askedAhead, q.sinceAsked = false, 0
	if !q.unanswered {
		q.unanswered, q.oldest = true, q.latest
	}
	if q.watched.at == 0 {
		q.watched = q.latest
	}
}

// delivered takes note that everything below una was delivered, and returns how long
// that took, from the question behind it, if it was watched; else 0.
func (q *questions) delivered(una uint64, now Time) (took Time) {
	if q.watched.at != 0 && q.watched.seq <= una {
		took = max(1, now-q.watched.at)
		q.watched = question{}
	}
	return took
}

// answer returns a question that the sink had seen when it echoed a round, false
// if that is no news. Rounds wrap.
func (q *questions) answer(round uint32) (question, bool) {
	if !q.unanswered || int32(round-q.oldest.round) < 0 || int32(q.latest.round-round) < 0 {
		return question{}, false
	}
	if round == q.latest.round {
		q.unanswered = false
		return q.latest, true
	}
	a := q.oldest
	q.oldest = q.latest
	return a, true
}

// recovery is what a sender knows of the path's troubles.
type recovery struct {
	cwnd      int // bytes the path seems to take
	threshold int // where cwnd stops doubling

	// Messages [knownFrom, knownTo) were known to be missing, or not looked at, when
	// cwnd was last halved, and were not sent again since: the same loss.
	knownFrom, knownTo uint64

	vainResends int  // resends in a row from which the sink received nothing in order
	resendAt    Time // above 0: when to send again, since more often is in vain
}

// maxVainResends is how often messages are sent again at once. If the sink has no room
// they fare no better each time, and a round trip is short.
const maxVainResends = 3

// resend sends again what was sent before the question that was just answered
// and has not arrived, as much of it as the path seems to take.
func (s *Sender) resend(now Time, asked uint64, ranges []wire.Range, out []byte) []byte {
	if len(ranges) == wire.MaxRanges { // there may be more, and nothing is known of what follows these
		last := ranges[len(ranges)-1]
		asked = min(asked, s.received+uint64(last.From)+uint64(last.N))
	}
	if s.received >= asked {
		return out
	}
	if now < s.resendAt {
		s.setDeadline(s.resendAt)
		return out
	}
	seq, sent, next, halved := s.una, 0, 0, false
	limit := s.cwnd
scan:
	for chunk := range s.store.Chunks() {
		for len(chunk) > 0 && seq < asked {
			var f wire.Frame
			f, chunk = wire.Next(chunk)
			for next < len(ranges) && seq >= s.received+uint64(ranges[next].From)+uint64(ranges[next].N) {
				next++
			}
			arrived := seq < s.received || next < len(ranges) && seq >= s.received+uint64(ranges[next].From)
			if arrived {
				seq++
				continue
			}
			if !halved && (seq < s.knownFrom || seq >= s.knownTo) { // loss: slow down, once a round
				halved = true
				s.threshold = max(min(s.cwnd, s.store.Size())/2, minCongestion)
				s.cwnd = s.threshold
				limit = s.cwnd
			}
			if sent > 0 && sent+len(f) > limit {
				break scan
			}
			out = append(out, f...)
			sent += len(f)
			seq++
			s.retransmitted++
		}
	}
	s.knownFrom, s.knownTo = seq, s.latest.seq
	if s.vainResends++; s.vainResends >= maxVainResends {
		s.resendAt = now + min(s.rto()<<min(s.vainResends-maxVainResends, maxBackoff), MaxRTO)
	}
	s.unanswered = false // what was asked before these left cannot tell of them
	return s.sync(now, out)
}

// grow widens the congestion window by what was acknowledged.
func (s *Sender) grow(acked int) {
	switch {
	case acked == 0:
	case s.cwnd < s.threshold:
		s.cwnd += acked
	default:
		s.cwnd += max(1, growth*acked/s.cwnd)
	}
	s.cwnd = min(s.cwnd, maxCongestion)
}

// collapse starts over, after a silence. A silence that goes on says no more
// about how much the path took before.
func (s *Sender) collapse() {
	if s.cwnd > minCongestion {
		s.threshold = max(min(s.cwnd, s.store.Size())/2, minCongestion)
		s.cwnd = minCongestion
	}
}
