package plane

import (
	"context"

	"github.com/x/ringdht/internal/wire"
)

// Where two nodes are entries of each other they need one connection, see [line]. There
// are two ways to it.
//
// Who wants a link to a peer that has dialled already asks to share its connection
// ([Plane.Ask]) instead of dialling.
//
// If both have dialled at the same time then there are two, each with a link one way.
// The node with the higher ID moves its link to the one that the other has dialled
// (converge): it asks, and when it is let the new link takes the place of the old one, as
// any does. The old one writes what it holds and ends, and the other side, which never
// used that connection, closes it. If the other has asked as well, at the same time, then
// that node stays where it is, or they would change places.

// Ask asks a life of a peer that has dialled this node whether its connection may be
// used for the link to it, and says whether there is an answer to wait for. Each
// connection is asked for once.
func (p *Plane) Ask(id, inc uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.askToShare(id, inc)
}

// AwaitLink waits, for ctx, until there is a link to this life of a peer. If the peer
// dials meanwhile it is asked to share the connection.
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

// ask needs mu.
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

// converge moves the link to a peer to a connection that the peer sends on, if there is
// one: if the peer has stopped using the present one, or never has, where it is the
// IDs that decide who of the two moves. It needs mu.
func (p *Plane) converge(id uint64) {
	l := p.links[id]
	if l == nil {
		return
	}
	if l.recvState == dirEnded || l.recvState == dirUnused && id < p.Self {
		p.askToShare(id, l.inc)
	}
}

// share lets the peer use the line, unless this node has just stopped using it itself.
// Then it is about to be closed: the peer, which has not sent anything yet, hears of the
// end and closes it.
func (c *conn) allowShare() {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.sendState == dirOpen {
		c.recvState, c.in = dirOpen, c.p.newInLink(c)
		c.out.Urgent(connFrame(wire.Shared, 0)) // with the lock, so that the end comes after it
	}
}

// shared makes the line the link to the peer, which lets it, unless there is one already to
// a later life, or one that the peer, too, has asked for and moves to. False: it was not
// asked.
func (c *conn) shareAllowed() bool {
	p := c.p
	p.mu.Lock()
	if c.sendState != dirAsked {
		p.mu.Unlock()
		return false
	}
	c.sendState = dirOpen
	old := c.out // not needed any more, and ends at once
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

// put makes a link the one to its peer, and returns the one it takes the place of, which
// is to be retired. It needs mu.
func (p *Plane) installLink(l *outLink) (old *outLink) {
	if old = p.links[l.id]; old != nil {
		old.sendState = dirEnded
	}
	delete(p.unanswered, l.id)
	p.links[l.id] = l
	p.rebuild()
	return old
}
