package node

import (
	"sync"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
)

// silence is for how long the registry has been silent. heartbeatLoop looks at it when it runs.
// Rejected: a read deadline, moved at each message. The runtime wakes up at the earlier time as
// well, which is a third of what a node at rest costs.
type silence struct {
	mu     sync.Mutex
	conn   *control.Conn     // over which a message is awaited; nil while none is
	since  time.Time         // when the wait began
	missed membership.Missed // what this process had missed until then
}

// begin notes that a message is awaited.
func (s *silence) begin(conn *control.Conn, now time.Time, missed membership.Missed) {
	s.mu.Lock()
	s.conn, s.since, s.missed = conn, now, missed
	s.mu.Unlock()
}

// end notes that the wait is over. While a message is handled the registry is not silent.
func (s *silence) end() {
	s.mu.Lock()
	s.conn = nil
	s.mu.Unlock()
}

// over returns the connection if the registry was silent on it for too long, once. Otherwise it
// returns how much longer that may last.
func (s *silence) over(now time.Time, patience time.Duration, missed membership.Missed) (conn *control.Conn, left time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil, patience
	}
	left = membership.TimeLeft(patience, membership.Stretch*patience, now.Sub(s.since), missed.Since(s.missed))
	if left == 0 {
		conn, s.conn = s.conn, nil
	}
	return conn, left
}

// checkSilence ends the wait for the registry if it was silent for the timeout, and not this
// process late. It returns when to check again, at the latest. If that is observed, a silent
// registry is noticed as its timeout ends.
func (inc *incarnation) checkSilence() (again time.Duration) {
	conn, left := inc.silence.over(time.Now(), inc.timeout(), inc.missedTime())
	if left == 0 {
		conn.Expire()
		return inc.timeout()
	}
	return max(left, inc.lease()/64)
}
