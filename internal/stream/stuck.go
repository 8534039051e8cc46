package stream

// liveness notes when the path to the sink and back last worked.
type liveness struct {
	heardAt    Time // the latest answer; 0 while nothing is outstanding
	progressAt Time // the latest that said something new
}

// began starts the clock, if it does not run.
func (p *liveness) began(now Time) {
	if p.heardAt == 0 {
		p.heardAt, p.progressAt = now, now
	}
}

// heard notes an answer.
func (p *liveness) heard(now Time, fresh bool) {
	p.heardAt = now
	if fresh {
		p.progressAt = now
	}
}

// Silent returns for how long nothing has come through, 0 if nothing is outstanding: no answer has
// come, or the sink misses the same messages in each answer although it has room. A slow handler
// does not count, since its node answers.
//
// Loss by overload does not last: some frames come through. So a long silence means that a relay
// passes nothing on, or the sink hangs.
func (s *Sender) Silent(now Time) Time {
	switch {
	case s.heardAt == 0 || !s.Waiting():
		return 0
	case s.state == Open && s.received < s.nxt && s.store.Size() <= s.window:
		return now - s.progressAt
	}
	return now - s.heardAt
}
