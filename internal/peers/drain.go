package peers

import "context"

// AwaitPeersEnded waits until no peer sends on a connection any more. It begins a drain: from now
// on connections on which this node has sent End close after [RetireTimeout], even if the peer
// goes on sending.
func (s *Set) AwaitPeersEnded(ctx context.Context) error {
	s.mu.Lock()
	first := !s.draining
	s.draining = true
	for c := range s.conns {
		if first && c.closeTimer != nil { // it may have expired when the peer was still allowed to send
			c.closeTimer.Reset(RetireTimeout)
		}
	}
	s.mu.Unlock()
	return s.await(ctx, func() bool {
		for c := range s.conns {
			if c.peer.ID != s.cfg.Self && c.recvState == dirOpen {
				return false
			}
		}
		return true
	})
}

// Retire takes all links out of use, and waits until each has written what it holds and its peer
// has received End: the peer has closed the connection.
func (s *Set) Retire(ctx context.Context) error {
	s.mu.Lock()
	var links []*Link
	clear(s.links)
	for c := range s.conns {
		if c.sendState >= dirOpen {
			c.sendState = dirEnded
			links = append(links, c.out)
		}
	}
	s.rebuild()
	s.mu.Unlock()
	for _, l := range links {
		l.retire()
	}
	return s.await(ctx, func() bool {
		for c := range s.conns {
			if c.sendState == dirEnded {
				return false
			}
		}
		return true
	})
}
