package stream

import "github.com/x/ringdht/internal/wire"

// timing is a sender's timeout and its estimate of the round trip.
type timing struct {
	deadline    Time // 0: the next tick sets it, if anything is outstanding
	askSoon     bool // the deadline is near, and would bring a question about new messages: see Due
	backoff     int
	srtt, rtvar Time
}

const maxBackoff = 8

// setDeadline sets the time of the next timeout.
func (c *timing) setDeadline(t Time) { c.deadline, c.askSoon = t, false }

// sample adds a round trip to the estimate, as in RFC 6298.
func (c *timing) sample(rtt Time) {
	if c.srtt == 0 {
		c.srtt, c.rtvar = rtt, rtt/2
		return
	}
	c.rtvar += ((c.srtt - rtt).Abs() - c.rtvar) / 4
	c.srtt += (rtt - c.srtt) / 8
}

func (c *timing) rto() Time {
	if c.srtt == 0 {
		return InitialRTO
	}
	return min(max(c.srtt+4*c.rtvar, MinRTO), MaxRTO)
}

// timeout returns how long to wait for the next answer.
func (c *timing) timeout() Time { return min(c.rto()<<c.backoff, MaxRTO) }

// Tick checks for a timeout. Call it about every [TickInterval] while [Sender.Waiting]. Where it is called
// less often, timeouts come as much later, and questions still leave with a message if one comes.
func (s *Sender) Tick(now Time, out []byte) []byte {
	if !s.Waiting() {
		return out
	}
	s.began(now)
	if s.deadline == 0 {
		s.setDeadline(now + s.rto())
	}
	left := s.deadline - now
	routine := s.state == Open && !s.unanswered && s.latest.seq < s.nxt && s.resendAt == 0
	if routine && s.askedAhead {
		left -= TickInterval / 2 // round to the nearest tick, not up: a message followed the question
	}
	if left > 0 || routine && !s.askSoon { // the next message has until the next tick to take the question along
		s.askSoon = routine && left <= TickInterval
		return out
	}
	if s.backoff < maxBackoff {
		s.backoff++
	}
	switch s.state {
	case Opening:
		s.setDeadline(now + s.timeout())
		return s.appendOpen(out)
	case Closing:
		if s.denied { // an answer to Close may be a late one, that to a question cannot
			s.denied = false
			out = s.sync(now, out)
		}
		s.setDeadline(now + s.timeout())
		return s.appendFrame(out, wire.Close, s.end, nil)
	}
	if s.unanswered { // the question or its answer was lost as well
		s.collapse()
	}
	return s.sync(now, out)
}

// PathChanged makes a stream that has timed out ask again at the next tick, since the route to
// its sink has changed. A stream without a timeout gets its answer anyway.
func (s *Sender) PathChanged(now Time) {
	if s.backoff > 0 && s.Waiting() {
		s.backoff = 0
		s.setDeadline(min(s.deadline, now))
	}
}

// Waiting reports whether the stream waits for an answer, and so needs [Sender.Tick].
func (s *Sender) Waiting() bool {
	return s.state == Opening || s.state == Closing || s.state == Open && s.una != s.nxt
}
