package stream

import "github.com/x/ringdht/internal/wire"

// clock is what a sender knows of time.
type clock struct {
	deadline    Time // 0: to be set at the next tick, if anything is outstanding
	soon        bool // it is, and brings a question about something new: see Due
	backoff     int
	srtt, rtvar Time
}

const maxBackoff = 8

// until sets the deadline.
func (c *clock) until(t Time) { c.deadline, c.soon = t, false }

// sample smooths a round trip as RFC 6298 does.
func (c *clock) sample(rtt Time) {
	if c.srtt == 0 {
		c.srtt, c.rtvar = rtt, rtt/2
		return
	}
	c.rtvar += ((c.srtt - rtt).Abs() - c.rtvar) / 4
	c.srtt += (rtt - c.srtt) / 8
}

func (c *clock) rto() Time {
	if c.srtt == 0 {
		return InitialRTO
	}
	return min(max(c.srtt+4*c.rtvar, MinRTO), MaxRTO)
}

// patience is how long to wait for an answer now.
func (c *clock) patience() Time { return min(c.rto()<<c.backoff, MaxRTO) }

// Tick looks at the clock. It is to be called every [TickInterval], or about that, while
// [Sender.Waiting].
func (s *Sender) Tick(now Time, out []byte) []byte {
	if !s.Waiting() {
		return out
	}
	if s.deadline == 0 {
		s.until(now + s.rto())
	}
	left := s.deadline - now
	routine := s.state == Open && !s.unanswered && s.latest.seq < s.nxt && s.pause == 0
	if routine && s.ahead {
		left -= TickInterval / 2 // round, not up: there has been a message since the question
	}
	if left > 0 {
		s.soon = routine && left <= TickInterval
		return out
	}
	if s.backoff < maxBackoff {
		s.backoff++
	}
	switch s.state {
	case Opening:
		s.until(now + s.patience())
		return s.appendFrame(out, wire.Open, s.gen, wire.OpenBody{Incarnation: s.life}.Append(nil))
	case Closing:
		s.until(now + s.patience())
		return s.appendFrame(out, wire.Close, s.end, nil)
	}
	if s.unanswered { // not even the question came through
		s.collapse()
	}
	return s.sync(now, out)
}

// Hurry makes a stream ask at the next tick that has asked in vain: the way to its sink
// has changed. One that has not timed out gets its answer by itself.
func (s *Sender) Hurry(now Time) {
	if s.backoff > 0 && s.Waiting() {
		s.backoff = 0
		s.until(min(s.deadline, now))
	}
}

// Waiting says whether time matters to the stream: something is unanswered.
func (s *Sender) Waiting() bool {
	return s.state == Opening || s.state == Closing || s.state == Open && s.una != s.nxt
}
