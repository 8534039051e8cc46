package stream

import (
	"testing"
	"time"
)

// A stream is silent while no answer comes, or while the sink misses the same messages though it
// has room. It is not while nothing is outstanding, while a handler is slow, or while the sink has
// no room.
func TestSilent(t *testing.T) {
	const start, later = 2 * time.Second, 12 * time.Second
	for _, c := range []struct {
		name           string
		received, more int // by the first answer, and by each later one; none if both are 0
		window         int
		want           Time
	}{
		{"no answer", 0, 0, plenty, 10 * time.Second},
		{"a slow handler", 20, 0, plenty, 500 * ms},
		{"messages are missing", 3, 0, plenty, 8500 * ms}, // since the first answer
		{"messages are missing, and the sink has no room", 3, 0, 100, 500 * ms},
		{"some come through", 1, 1, plenty, 500 * ms},
	} {
		s := open(t, plenty)
		if s.Silent(start) != 0 {
			t.Errorf("%s: silent with nothing outstanding", c.name)
		}
		push(s, 20, 100)
		s.Tick(start, nil)
		received := c.received
		for now := start + 1500*ms; c.received > 0 && now < later; now += time.Second {
			acked(t, s, now, 0, received, c.window, s.latest.round)
			received += c.more
		}
		if got := s.Silent(later); got != c.want {
			t.Errorf("%s: silent for %v, want %v", c.name, got, c.want)
		}
	}
}

// When all is delivered, a stream is silent no more, and what comes later counts from then on.
func TestSilentAgain(t *testing.T) {
	s := open(t, plenty)
	push(s, 1, 100)
	s.Tick(2*time.Second, nil)
	if got := s.Silent(9 * time.Second); got != 7*time.Second {
		t.Error(got)
	}
	acked(t, s, 9*time.Second, 1, 1, plenty, s.latest.round)
	if got := s.Silent(20 * time.Second); got != 0 {
		t.Error(got)
	}
	push(s, 1, 100)
	s.Tick(20*time.Second, nil)
	if got := s.Silent(21 * time.Second); got != time.Second {
		t.Error(got)
	}
}
