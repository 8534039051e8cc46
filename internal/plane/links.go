package plane

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/memnet"
)

// outLink is the link to one peer.
type outLink struct {
	*link.Writer
	id, life uint64
	conn     net.Conn
	probe    probe

	waiting atomic.Int64 // bytes that streams have for it, see exit; sources wait above twice Low
	space   signal       // it has come down to Low
}

func (p *Plane) newLink(id, life uint64, conn net.Conn) *outLink {
	return &outLink{Writer: link.NewWriter(conn, p.LinkQueue, p.LinkLow), id: id, life: life, conn: conn}
}

// peer is the other end, as logs show it.
func (l *outLink) peer() slog.Attr {
	return slog.Group("peer", "id", l.id, "addr", l.conn.RemoteAddr())
}

// retireTimeout is how long a link that is not used any more may take to write what
// it holds: a peer that does not read must not keep it for ever.
const retireTimeout = 10 * time.Second

// retire must be called without mu.
func (l *outLink) retire() {
	l.space.broadcast() // who waits for it has another way now
	l.conn.SetWriteDeadline(time.Now().Add(retireTimeout))
	l.Retire()
}

// HasLink says whether there is a working link to this life of a node.
func (p *Plane) HasLink(id, life uint64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	l, ok := p.links[id]
	return ok && l.life == life
}

// Silent says whether the latest link to this life of a node ended because it did not
// answer, see [Plane.CheckLinks], and there has been none since.
func (p *Plane) Silent(id, life uint64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.silent[id] == life && life != 0
}

// AddLink takes over a connection to a peer, whose handshake is done. If the routes
// in force name the peer then it is used at once.
func (p *Plane) AddLink(id, life uint64, conn net.Conn) {
	l := p.newLink(id, life, conn)
	l.KeepLeftover()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		conn.Close()
		return
	}
	old := p.links[id]
	if old != nil {
		p.retired[old] = struct{}{}
	}
	delete(p.silent, id)
	p.links[id] = l
	p.rebuild()
	p.wg.Go(func() { p.watch(l) })
	p.mu.Unlock()
	if old != nil {
		old.retire()
	}
}

// watch is a link's goroutine. It takes the answers of its other end, which sends
// nothing else, and does what there is to do when the link has ended.
func (p *Plane) watch(l *outLink) {
	err := l.listen()
	l.Fail(err)
	p.unlink(l)
	left := l.Leftover()
	if p.closing.Load() {
		left.Clear()
	} else {
		p.requeue(l, &left)
		p.divert(l)
	}
	l.Close()
	bytes, writes := l.Stats()
	p.mu.Lock()
	delete(p.retired, l)
	p.counters.bytesOut.Add(bytes)
	p.counters.writes.Add(writes)
	closed := p.closed
	p.mu.Unlock()
	p.changes.broadcast()
	why := l.Err() // of this side, if it ended the link: reading then says only that it is closed
	switch {
	case closed || errors.Is(why, net.ErrClosed):
	case why == io.EOF: // the peer has left
		p.Log.Info("link ended", l.peer())
	default:
		p.Log.Warn("link ended", l.peer(), "err", why)
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
	p.retired[l] = struct{}{} // until its goroutine is done with it
	p.rebuild()
	select {
	case p.Broken <- struct{}{}:
	default:
	}
}

// endLink ends a link whose other end is no good any more.
func (p *Plane) endLink(l *outLink, err error) {
	p.unlink(l)
	p.background(func() { l.Fail(err) })
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
		p.loop = p.newLink(p.Self, p.Life, near)
		rc := p.reception(far, p.Self, p.Life)
		p.wg.Go(func() { rc.run() })
	}
	return p.loop
}
