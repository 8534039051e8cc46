package stream

import "github.com/x/ringdht/internal/wire"

// timing is what a sender knows of time.
type timing struct {
	deadline    Time // 0: to be set at the next tick, if anything is outstanding
	askSoon     bool // it is, and brings a question about something new: see Due
	backoff     int
	srtt, rtvar Time
}

const maxBackoff = 8

// setDeadline sets the deadline.
func (c *timing) setDeadline(t Time) { c.deadline, c.askSoon = t, false }

// sample smooths a round trip as RFC 6298 does.
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

// timeout is how long to wait for an answer now.
func (c *timing) timeout() Time { return min(c.rto()<<c.backoff, MaxRTO) }

// Tick looks at the clock. It is to be called every [TickInterval], or about that, while
// [Sender.Waiting].
func (s *Sender) Tick(now Time, out []byte) []byte {
	if !s.Waiting() {
		return out
	}
	if s.deadline == 0 {
		s.setDeadline(now + s.rto())
	}
	left := s.deadline - now
	routine := s.state == Open && !s.unanswered && s.latest.seq < s.nxt && s.resendAt == 0
	if routine && s.askedAhead {
		left -= TickInterval / 2 // round, not up: there has been a message since the question
	}
	if left > 0 {
		s.askSoon = routine && left <= TickInterval
		return out
	}
	if s.backoff < maxBackoff {
		s.backoff++
	}
	switch s.state {
	case Opening:
		s.setDeadline(now + s.timeout())
		return s.appendFrame(out, wire.Open, s.gen, wire.OpenBody{Incarnation: s.incarnation}.Append(nil))
	case Closing:
		s.setDeadline(now + s.timeout())
		return s.appendFrame(out, wire.Close, s.end, nil)
	}
	if s.unanswered { // not even the question came through
		s.collapse()
	}
	return s.sync(now, out)
}

// PathChanged makes a stream ask at the next tick that has asked in vain: the way to its sink
// has changed. One that has not timed out gets its answer by itself.
func (s *Sender) PathChanged(now Time) {
	if s.backoff > 0 && s.Waiting() {
		s.backoff = 0
		s.setDeadline(min(s.deadline, now))
	}
}

// Waiting says whether time matters to the stream: something is unanswered.
func (s *Sender) Waiting() bool {
	return s.state == Opening || s.state == Closing || s.state == Open && s.una != s.nxt
}
