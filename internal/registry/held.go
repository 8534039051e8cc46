package registry

import (
	"errors"
	"time"
)

// Connections that have not registered are bounded. Each has a place of handshake.Config.Accept until
// its Register has come and is answered. Two kinds of registrations take longer, would keep others out,
// and have bounds of their own: those that are dialled back, by the limit of dials, and those that must
// wait because members of an earlier ring may come back, by maxHeld. The latter were dialled before.

// maxHeld bounds the nodes that wait for their answer. More are told to come again.
const maxHeld = 1024

// hold takes a place among the nodes that wait, and reports whether there was one. It needs mu.
func (s *session) hold() bool {
	if s.held {
		return true
	}
	if s.r.held >= maxHeld {
		return false
	}
	s.held = true
	s.r.held++
	return true
}

// letGo gives the place back. It needs mu.
func (s *session) letGo() {
	if s.held {
		s.held = false
		s.r.held--
	}
}

// errLingers ends a session whose node sends messages, though it has left or was declared dead.
var errLingers = errors.New("it is no member any more")

// lingers reports whether the node goes on sending for longer than a handshake may take after it was
// a member. It might keep the connection for ever.
func (s *session) lingers() bool {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if !s.ended {
		return false
	}
	now := time.Now()
	if s.endedAt.IsZero() {
		s.endedAt = now
	}
	return now.Sub(s.endedAt) > s.r.cfg.Timeout
}
