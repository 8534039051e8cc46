package stream

import "github.com/x/ringdht/internal/wire"

// A question is a Sync frame: when it left, everything below seq had been sent.
type question struct {
	round uint32
	seq   uint64
	at    Time

	una, received uint64 // what the sink had said by then
}

// questions are those that the sink was asked. An answer answers all questions up to its
// round, so it is enough to remember the oldest and the latest. The latest alone would not do:
// a source that always asks again before the answer arrives (because it flushes often, or the
// path takes longer than MaxRTO) would never get an answer to it.
type questions struct {
	unanswered     bool
	askedAhead     bool     // a message followed the latest question at once
	sinceAsked     int      // bytes sent for the first time since the latest question
	oldest, latest question // oldest: the first of the unanswered
	watched        question // measures the time of delivery; none if its time is 0
}

func (q *questions) ask(now Time, seq, una, received uint64) {
	q.latest = question{q.latest.round + 1, seq, now, una, received}
	q.askedAhead, q.sinceAsked = false, 0
	if !q.unanswered {
		q.unanswered, q.oldest = true, q.latest
	}
	if q.watched.at == 0 {
		q.watched = q.latest
	}
}

// delivered notes that everything below una was delivered. It returns how long that took since
// the watched question, or 0 if that question is not answered by it.
func (q *questions) delivered(una uint64, now Time) (took Time) {
	if q.watched.at != 0 && q.watched.seq <= una {
		took = max(1, now-q.watched.at)
		q.watched = question{}
	}
	return took
}

// answer returns a question that the sink had seen when it echoed round, and false if that
// answers nothing new. Rounds wrap.
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

// contradicts reports whether an answer cannot come from the sink that gave the earlier ones: it echoes
// the latest question, and takes back what was said before that; or it echoes one that was not asked
// yet. A relay has made up this answer or an earlier one, or a question. An answer that others have
// overtaken echoes an earlier question.
func (q *questions) contradicts(round uint32, delivered, received uint64) bool {
	ahead := int32(round - q.latest.round) // rounds wrap
	return ahead > 0 || ahead == 0 && q.latest.seq > 0 && (delivered < q.latest.una || received < q.latest.received)
}

// recovery is a sender's congestion window and its state after losses.
type recovery struct {
	cwnd      int // congestion window: bytes that the path seems to take
	threshold int // up to it cwnd doubles each round trip

	// Messages in [knownFrom, knownTo) belong to the loss for which cwnd was last halved:
	// they were missing or not examined then, and have not been sent again since.
	knownFrom, knownTo uint64

	vainResends int  // resends in a row without progress at the sink
	resendAt    Time // if above 0: no resend before that time
}

// maxVainResends is how often messages are sent again without a pause. If the sink has no
// room, more resends do not help, and a round trip is short.
const maxVainResends = 3

// resend sends again the messages that were sent before the question just answered and did not
// arrive, up to the congestion window. It ends the stream if the answer is not about these frames.
func (s *Sender) resend(now Time, asked uint64, ranges []wire.Range, out []byte) []byte {
	if len(ranges) == wire.MaxRanges { // the list may be cut short: nothing is known of messages behind it
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
	seq, sent, next, halved := s.base, 0, 0, false
	limit := s.cwnd
scan:
	for chunk := range s.store.Chunks() {
		for len(chunk) > 0 && seq < asked {
			var f wire.Frame
			f, chunk = wire.Next(chunk)
			n := uint64(f.Messages())
			end := seq + n // a sink takes all messages of a frame or none
			if seq < s.received && s.received < end {
				s.contradicted() // it got this number in a frame that the source has not sent
				return out
			}
			for next < len(ranges) && end > s.received+uint64(ranges[next].From)+uint64(ranges[next].N) {
				next++
			}
			arrived := end <= s.received || next < len(ranges) && seq >= s.received+uint64(ranges[next].From)
			if arrived {
				seq = end
				continue
			}
			if !halved && (seq < s.knownFrom || seq >= s.knownTo) { // a new loss: halve the window, once a round
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
			seq = end
			s.retransmitted += n
		}
	}
	s.knownFrom, s.knownTo = seq, s.latest.seq
	if s.vainResends++; s.vainResends >= maxVainResends {
		s.resendAt = now + min(s.rto()<<min(s.vainResends-maxVainResends, maxBackoff), MaxRTO)
	}
	s.unanswered = false // answers to earlier questions do not tell about these messages
	return s.sync(now, out)
}

// grow widens the congestion window after acked bytes were acknowledged.
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

// collapse starts over with the smallest window, after a silence. While the silence goes on,
// threshold keeps what the path took before it.
func (s *Sender) collapse() {
	if s.cwnd > minCongestion {
		s.threshold = max(min(s.cwnd, s.store.Size())/2, minCongestion)
		s.cwnd = minCongestion
	}
}
