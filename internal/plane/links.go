package plane

import (
	"net"
	"sync/atomic"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/memnet"
)

// outLink is a link to a peer: this node's direction of a conn, or the loopback, whose near end
// is not registered. A conn may need its writer before it carries a link, to answer pings.
type outLink struct {
	*link.Writer
	*conn
	probe    probe
	throttle throttle

	reserved atomic.Int64  // bytes that wait in streams for it, see sendQueue; sources wait above twice Low
	room     notify.Change // reserved has come down to Low
}

func (p *Plane) newLink(c *conn) *outLink {
	return &outLink{Writer: link.NewWriter(c.nc, p.LinkQueue, p.LinkLow), conn: c}
}

// HasLink reports whether there is a working link to this incarnation of a node.
func (p *Plane) HasLink(id, inc uint64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	l, ok := p.links[id]
	return ok && l.inc == inc
}

// Unanswered reports whether the latest link to this incarnation of a node ended because it did not
// answer, see [Plane.CheckLinks], and no link has replaced it.
func (p *Plane) Unanswered(id, inc uint64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.unanswered[id] == inc && inc != 0
}

// AddLink takes over a connection to a peer, after its handshake. The link is used at once if the
// routes in force name the peer.
func (p *Plane) AddLink(id, inc uint64, nc net.Conn) {
	p.mu.Lock()
	if have := p.links[id]; p.closed || have != nil && have.inc == inc && have.recvState == dirOpen {
		p.mu.Unlock() // both directions are in use already
		nc.Close()
		return
	}
	c := p.newConn(nc, id, inc, true)
	old := p.installLink(c.out)
	p.converge(id)
	p.wg.Go(c.run)
	p.mu.Unlock()
	p.changes.Broadcast()
	if old != nil {
		old.retire()
	}
}

// unlink takes a link that has ended out of use. The first to notice calls it: the link's own
// goroutine, or one with a frame for it, which then looks for another way at once.
func (p *Plane) unlink(l *outLink) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links[l.id] != l {
		return
	}
	delete(p.links, l.id)
	p.rebuild()
	select {
	case p.Broken <- struct{}{}:
	default:
	}
}

// endConn ends a connection whose peer has gone or does not answer.
func (p *Plane) endConn(c *conn, err error) {
	p.mu.RLock()
	out := c.out
	p.mu.RUnlock()
	if out != nil {
		p.unlink(out)
	}
	p.background(func() { c.closeNow(out, err) })
}

// background runs f on a goroutine of the plane. It is for work that may take a while and that
// the caller need not wait for, such as closing a TLS connection, which sends an alert first.
func (p *Plane) background(f func()) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.closed { // else Close closes all connections
		p.wg.Go(f)
	}
}

// loopback is the link of the node to itself: a pair of connected buffers with the same writer
// and reader as any link, so that a message to oneself follows the same rules. To hand frames
// over directly was rejected: it would take locks in a circle.
func (p *Plane) loopback() *outLink {
	p.mu.RLock()
	l := p.loop
	p.mu.RUnlock()
	if l != nil {
		return l
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loop == nil && !p.closed {
		near, far := memnet.Pipe()
		p.loop = p.newLink(&conn{p: p, nc: near, id: p.Self, inc: p.Incarnation})
		c := p.newConn(far, p.Self, p.Incarnation, false)
		p.wg.Go(c.run)
	}
	return p.loop
}
