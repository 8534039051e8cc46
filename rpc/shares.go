package rpc

import (
	"context"
	"slices"
	"sync"

	"github.com/x/ringdht"
)

// shares are places for one kind of work. A peer gets another place while it holds less than three
// times as many as are free. So one peer alone gets three quarters of all, a second one three quarters
// of the rest. A peer that holds none finds a place, unless as many as five others keep all 256. Fixed
// shares of three quarters would leave all to two peers. Of fewer than minShared places a peer may hold
// all.
type shares struct {
	mu      sync.Mutex
	all     int
	free    int
	held    map[ringdht.ID]int // by peer; no zeros
	waiting []*waiter          // the first has waited longest; none may have a place
	waited  uint64             // how many have waited
	refused uint64             // how often try gave no place
}

// minShared is the least number of places that are shared out.
const minShared = 8

// waiter waits for a place. A source has one for each of its streams of requests, so one, and one
// more of each earlier incarnation.
type waiter struct {
	peer  ringdht.ID
	given chan struct{}
}

func (s *shares) init(all int) { s.all, s.free, s.held = all, all, make(map[ringdht.ID]int) }

// due reports whether a peer may have another place. It needs mu.
func (s *shares) due(peer ringdht.ID) bool {
	return s.free > 0 && (s.all < minShared || s.held[peer] < 3*s.free)
}

// give needs mu.
func (s *shares) give(peer ringdht.ID) {
	s.free--
	s.held[peer]++
}

// try takes a place, if the peer may have one now.
func (s *shares) try(peer ringdht.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.due(peer) {
		s.refused++
		return false
	}
	s.give(peer)
	return true
}

// take waits for a place. It returns false if ctx ends before.
func (s *shares) take(ctx context.Context, peer ringdht.ID) bool {
	s.mu.Lock()
	if s.due(peer) {
		s.give(peer)
		s.mu.Unlock()
		return true
	}
	w := &waiter{peer, make(chan struct{})}
	s.waiting = append(s.waiting, w)
	s.waited++
	s.mu.Unlock()
	select {
	case <-w.given:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, w); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	} else {
		s.back(peer) // it has just been given
	}
	return false
}

// put gives a place back.
func (s *shares) put(peer ringdht.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.back(peer)
}

// back needs mu. Those that wait get what is free in the order in which they came, except for peers that
// hold their share.
func (s *shares) back(peer ringdht.ID) {
	s.free++
	if s.held[peer]--; s.held[peer] == 0 {
		delete(s.held, peer)
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(w *waiter) bool {
		if !s.due(w.peer) {
			return false
		}
		s.give(w.peer)
		close(w.given)
		return true
	})
}

// counts returns how many have waited, and how often there was no place.
func (s *shares) counts() (waited, refused uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waited, s.refused
}
