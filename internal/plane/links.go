package plane

import (
	"net"
	"sync/atomic"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/memnet"
)

// outLink is the link to one peer: this node's direction of a line, or the loopback,
// whose line is not registered. Before it is the link its line may need the writer
// already, to answer.
type outLink struct {
	*link.Writer
	*conn
	probe    probe
	throttle throttle

	reserved atomic.Int64  // bytes that streams have for it, see exit; sources wait above twice Low
	room     notify.Change // it has come down to Low
}

func (p *Plane) newLink(c *conn) *outLink {
	return &outLink{Writer: link.NewWriter(c.nc, p.LinkQueue, p.LinkLow), conn: c}
}

// HasLink says whether there is a working link to this life of a node.
func (p *Plane) HasLink(id, inc uint64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	l, ok := p.links[id]
	return ok && l.inc == inc
}

// Silent says whether the latest link to this life of a node ended because it did not
// answer, see [Plane.CheckLinks], and there has been none since.
func (p *Plane) Silent(id, inc uint64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.unanswered[id] == inc && inc != 0
}

// AddLink takes over a connection to a peer, whose handshake is done. If the routes
// in force name the peer then it is used at once.
func (p *Plane) AddLink(id, inc uint64, nc net.Conn) {
	p.mu.Lock()
	if have := p.links[id]; p.closed || have != nil && have.inc == inc && have.recvState == dirOpen {
		p.mu.Unlock() // both directions are served already
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

// unlink takes a link that has ended out of use. Whoever notices first calls it: the
// link's own goroutine, or one that has a frame for it, which then has to go another
// way at once.
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

// hangUp ends a line whose other end is no good any more.
func (p *Plane) endConn(c *conn, err error) {
	p.mu.RLock()
	out := c.out
	p.mu.RUnlock()
	if out != nil {
		p.unlink(out)
	}
	p.background(func() { c.closeNow(out, err) })
}

// background runs what may take a while and is not the caller's business, such as
// closing a connection: that of TLS says farewell first.
func (p *Plane) background(f func()) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.closed { // else Close has done it, or is about to
		p.wg.Go(f)
	}
}

// loopback is the link of the node to itself: a pair of connected buffers with
// the same writer and reader as any link, so that a message to oneself follows
// the same rules. Handing frames over directly would take locks in a circle.
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
		p.loop = p.newLink(&conn{p: p, nc: near, id: p.Self, inc: p.Life})
		c := p.newConn(far, p.Self, p.Life, false)
		p.wg.Go(c.run)
	}
	return p.loop
}
