package peers

import (
	"context"

	"github.com/x/ringdht/internal/wire"
)

// Two nodes that are entries of each other need one connection, see Conn. There are two ways to
// that.
//
// A node that wants a link to a peer that has dialled already asks to share the connection
// ([Set.Ask]) and does not dial.
//
// If both have dialled at the same time there are two connections, each with one link. The node
// with the higher ID moves its link to the connection that the other dialled (converge): it asks,
// and once it is allowed to, the new link replaces the old one, as any new link does. The old one
// writes what it holds and ends; the other side, which never used that connection, closes it. If
// the other node has asked at the same time, the node with the higher ID stays where it is, or
// the two would change places.

// Ask asks an incarnation of a peer that has dialled this node to share its connection, and
// reports whether an answer is to be waited for. Each connection is asked for once.
func (s *Set) Ask(id, inc uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.askToShare(id, inc)
}

// AwaitLink waits until there is a link to this incarnation of a peer, or ctx ends. If the peer
// dials meanwhile, it is asked to share the connection.
func (s *Set) AwaitLink(ctx context.Context, id, inc uint64) error {
	return s.await(ctx, func() bool {
		if l, ok := s.links[id]; ok && l.conn.peer.Incarnation == inc {
			return true
		}
		s.askToShare(id, inc)
		return false
	})
}

// askToShare needs mu.
func (s *Set) askToShare(id, inc uint64) (waiting bool) {
	for c := range s.conns {
		if c.peer.ID != id || c.peer.Incarnation != inc || c.recvState != dirOpen {
			continue
		}
		if c.sendState == dirUnused {
			c.sendState = dirAsked
			c.ensureWriter().Urgent(connFrame(wire.Share, 0))
		}
		waiting = waiting || c.sendState == dirAsked
	}
	return waiting
}

// converge moves the link to a peer onto a connection on which the peer sends, if there is one.
// It does so if the peer has stopped sending on the present connection, or never has and this
// node's ID is the higher one. It needs mu.
func (s *Set) converge(id uint64) {
	l := s.links[id]
	if l == nil {
		return
	}
	if c := l.conn; c.recvState == dirEnded || c.recvState == dirUnused && id < s.cfg.Self {
		s.askToShare(id, c.peer.Incarnation)
	}
}

// allowShare lets the peer send on the connection, unless this node has just stopped sending on
// it. Then the connection is about to close: the peer, which has not sent anything yet, receives
// End and closes it.
func (c *Conn) allowShare() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.sendState == dirOpen {
		c.openReader()
		c.out.Urgent(connFrame(wire.Shared, 0)) // with mu held, so that End comes after it
	}
}

// shareAllowed makes the connection the link to the peer, which allows it. It does not if there
// is a link to a later incarnation, or one to which the peer moves as well because it has asked
// too. It returns false if this node has not asked.
func (c *Conn) shareAllowed() bool {
	s := c.s
	s.mu.Lock()
	if c.sendState != dirAsked {
		s.mu.Unlock()
		return false
	}
	c.sendState = dirOpen
	old := c.out // not needed, so it ends at once
	if have := s.links[c.peer.ID]; have == nil || have.conn.peer.Incarnation <= c.peer.Incarnation && !have.conn.stays() {
		old = s.install(c.out)
	} else {
		c.sendState = dirEnded
	}
	s.mu.Unlock()
	s.changes.Broadcast()
	if old != nil {
		old.retire()
	}
	return true
}

// stays reports whether the link on a connection stays there although the peer allows this node to
// move: the peer has moved to it. It needs mu.
func (c *Conn) stays() bool {
	return c.dialled && c.recvState == dirOpen && c.peer.ID < c.s.cfg.Self
}
