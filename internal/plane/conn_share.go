package plane

import (
	"context"

	"github.com/x/ringdht/internal/wire"
)

// Two nodes that are entries of each other need one connection, see conn. There are two ways to
// that.
//
// A node that wants a link to a peer that has dialled already asks to share the connection
// ([Plane.Ask]) and does not dial.
//
// If both have dialled at the same time there are two connections, each with one link. The node
// with the higher ID moves its link to the connection that the other dialled (converge): it asks,
// and once it is allowed to, the new link replaces the old one, as any new link does. The old one
// writes what it holds and ends; the other side, which never used that connection, closes it. If
// the other node has asked at the same time, the node with the higher ID stays where it is, or
// the two would change places.

// Ask asks an incarnation of a peer that has dialled this node to share its connection, and
// reports whether an answer is to be waited for. Each connection is asked for once.
func (p *Plane) Ask(id, inc uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.askToShare(id, inc)
}

// AwaitLink waits until there is a link to this incarnation of a peer, or ctx ends. If the peer
// dials meanwhile, it is asked to share the connection.
func (p *Plane) AwaitLink(ctx context.Context, id, inc uint64) error {
	return p.awaitChange(ctx, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if l, ok := p.links[id]; ok && l.inc == inc {
			return true
		}
		p.askToShare(id, inc)
		return false
	})
}

// askToShare needs mu.
func (p *Plane) askToShare(id, inc uint64) (waiting bool) {
	for c := range p.conns {
		if c.id != id || c.inc != inc || c.recvState != dirOpen {
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
func (p *Plane) converge(id uint64) {
	l := p.links[id]
	if l == nil {
		return
	}
	if l.recvState == dirEnded || l.recvState == dirUnused && id < p.Self {
		p.askToShare(id, l.inc)
	}
}

// allowShare lets the peer send on the connection, unless this node has just stopped sending on
// it. Then the connection is about to close: the peer, which has not sent anything yet, receives
// End and closes it.
func (c *conn) allowShare() {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.sendState == dirOpen {
		c.recvState, c.in = dirOpen, c.p.newInLink(c)
		c.out.Urgent(connFrame(wire.Shared, 0)) // with mu held, so that End comes after it
	}
}

// shareAllowed makes the connection the link to the peer, which allows it. It does not if there
// is a link to a later incarnation, or one to which the peer moves as well because it has asked
// too. It returns false if this node has not asked.
func (c *conn) shareAllowed() bool {
	p := c.p
	p.mu.Lock()
	if c.sendState != dirAsked {
		p.mu.Unlock()
		return false
	}
	c.sendState = dirOpen
	old := c.out // not needed, so it ends at once
	if have := p.links[c.id]; have == nil || have.inc <= c.inc && !(have.dialled && have.recvState == dirOpen && c.id < p.Self) {
		old = p.installLink(c.out)
	} else {
		c.sendState = dirEnded
	}
	p.mu.Unlock()
	p.changes.Broadcast()
	if old != nil {
		old.retire()
	}
	return true
}

// installLink makes l the link to its peer and returns the link that it replaces, which the
// caller must retire. It needs mu.
func (p *Plane) installLink(l *outLink) (old *outLink) {
	if old = p.links[l.id]; old != nil {
		old.sendState = dirEnded
	}
	delete(p.unanswered, l.id)
	p.links[l.id] = l
	p.rebuild()
	return old
}
