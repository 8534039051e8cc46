package plane

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// line is a connection with a life of a peer. It carries up to two links: one from the
// side that dialled, and one back, if the other side asks for it and is let. So where
// both are entries of each other one connection serves both.
//
// Each direction is begun at most once and ended at most once. It ends with a frame that
// says so, behind everything else; whoever hears it and sends nothing himself closes
// the connection. That the accepting side has to ask is so that the dialling side
// always knows whether anything may come: it can tell when it has received all that
// there is (see [Plane.Drain]), and nobody sends on what the other is closing.
type conn struct {
	// static after construction
	p       *Plane
	nc      net.Conn
	id, inc uint64 // the peer
	dialled bool   // by this node

	// guarded by Plane.mu; theirs is changed by who reads
	sendState, recvState dirState
	out                  *outLink    // nil until there is something to write
	in                   *inLink     // nil until the peer sends
	closeTimer           *time.Timer // closes a connection that the peer does not close

	onEnd func(error) // hears how it ended; may be nil
}

// half is the state of one direction of a line.
type dirState uint8

const (
	dirUnused dirState = iota
	dirAsked           // the peer, who has dialled, was asked whether it may be used
	dirOpen
	dirEnded // the end was said, or waits behind what is being written
)

// line registers a connection; it needs mu.
func (p *Plane) newConn(nc net.Conn, id, inc uint64, dialled bool) *conn {
	c := &conn{p: p, nc: nc, id: id, inc: inc, dialled: dialled}
	if dialled {
		c.sendState = dirOpen
		c.ensureWriter()
	} else {
		c.recvState, c.in = dirOpen, p.newInLink(c)
	}
	p.conns[c] = struct{}{}
	return c
}

// writer needs mu.
func (c *conn) ensureWriter() *outLink {
	if c.out == nil {
		c.out = c.p.newLink(c)
		c.out.KeepLeftover()
	}
	return c.out
}

// peer is the other end, as logs show it.
func (c *conn) peer() slog.Attr {
	return slog.Group("peer", "id", c.id, "addr", c.nc.RemoteAddr())
}

// run is the goroutine of a line. It reads until the connection ends, or another goroutine
// takes its place, see [reception.handOver].
func (c *conn) run() {
	var err error
	if c.in == nil {
		err = c.readUntilShared()
	}
	if err == nil {
		err = c.in.run()
	}
	c.readEnded(err)
}

// done does what there is to do when reading has ended, unless another goroutine goes on.
func (c *conn) readEnded(err error) {
	if err == errHandedOver {
		return
	}
	c.teardown(err)
	if err != io.EOF && errors.Is(err, net.ErrClosed) {
		err = net.ErrClosed
	}
	if c.onEnd != nil {
		c.onEnd(err)
	}
}

// listen reads a line on which the peer sends nothing, until it may. Most lines stay like
// this for ever, so nothing is kept for them that is not needed.
func (c *conn) readUntilShared() error {
	var b [wire.HeaderSize]byte
	for c.in == nil {
		if _, err := io.ReadFull(c.nc, b[:]); err != nil {
			return err
		}
		if err := c.handleConnFrame(b[:]); err != nil {
			return err
		}
	}
	return nil
}

// local takes a frame that does not leave the connection, or is not right on it.
func (c *conn) handleConnFrame(f wire.Frame) error {
	t := f.Type()
	ok := t.Stays() && c.id != c.p.Self && f.Local(t)
	sends := c.recvState == dirOpen && !c.in.sawEnd
	switch {
	case !ok:
	case t == wire.Ping && sends:
		return c.answerPing(f.Seq())
	case t == wire.Pong:
		c.p.mu.RLock()
		out := c.out
		c.p.mu.RUnlock()
		if out != nil && out.probe.confirm(f.Seq()) {
			return nil
		}
	case t == wire.Share && c.dialled && c.recvState == dirUnused:
		c.allowShare()
		return nil
	case t == wire.Shared && !c.dialled:
		if c.shareAllowed() {
			return nil
		}
	case t == wire.End && sends:
		c.in.sawEnd = true // what came before it is taken in first
		return nil
	}
	return fmt.Errorf("%w here: a %v frame of %d bytes", wire.ErrType, t, len(f))
}

// urgent is a frame about the line.
func connFrame(t wire.Type, nonce uint64) []byte {
	return wire.Append(nil, wire.Header{Type: t, Seq: nonce}, nil)
}

// quiet notes that all that the peer had to send has been taken in.
func (c *conn) peerEnded() {
	p := c.p
	p.mu.Lock()
	c.recvState = dirEnded
	done, out := c.sendState != dirOpen, c.out
	p.converge(c.id)
	p.mu.Unlock()
	p.changes.Broadcast()
	if done && out != nil {
		out.RetireWithin(retireTimeout) // when all is written
	} else if done {
		c.nc.Close()
	}
}

// retireTimeout is how long a link that is not used any more may take to write what
// it holds, and the peer then to close the connection if it does not use it: a peer that
// does not read must not keep it for ever.
const retireTimeout = 10 * time.Second

// retire must be called without mu, by who has taken the link out of use and set
// mine to over.
func (l *outLink) retire() {
	l.room.Broadcast() // who waits for it has another way now
	l.Finish(connFrame(wire.End, 0), retireTimeout)
	l.p.mu.Lock()
	if _, up := l.p.conns[l.conn]; up && l.closeTimer == nil {
		l.closeTimer = time.AfterFunc(retireTimeout, l.closeUnused)
	} else if up {
		l.closeTimer.Reset(retireTimeout)
	}
	l.p.mu.Unlock()
}

// letGo ends a line on which this node has said the end long ago, unless the peer goes
// on using it.
func (c *conn) closeUnused() {
	c.p.mu.RLock()
	used := c.recvState == dirOpen && !c.p.draining.Load()
	c.p.mu.RUnlock()
	if !used {
		c.p.endConn(c, net.ErrClosed)
	}
}

// close closes the connection. What writes to it, if anything does, must know why.
func (c *conn) closeNow(out *outLink, err error) {
	if out != nil {
		out.Fail(err)
	} else {
		c.nc.Close()
	}
}

// ended takes down a line whose connection has ended. What waits for its link goes
// another way.
func (c *conn) teardown(err error) {
	p := c.p
	p.mu.Lock()
	was := c.sendState
	c.recvState = dirEnded // nobody asks any more
	out, in := c.out, c.in
	p.mu.Unlock()
	if out != nil {
		p.unlink(out) // closing may take a while
	}
	c.closeNow(out, err)
	if out != nil {
		left := out.Leftover()
		if p.closing.Load() {
			left.Clear()
		} else {
			p.requeue(out, &left)
			p.reattach(out)
		}
		out.Close()
	}
	p.mu.Lock()
	delete(p.conns, c)
	if c.closeTimer != nil {
		c.closeTimer.Stop()
	}
	if out != nil {
		bytes, writes := out.Stats()
		p.counters.casts.Add(out.Frames())
		p.counters.bytesOut.Add(bytes)
		p.counters.writes.Add(writes)
	}
	if in != nil {
		bytes, reads := in.r.Stats()
		p.counters.bytesIn.Add(bytes)
		p.counters.reads.Add(reads)
	}
	closed := p.closed
	p.mu.Unlock()
	p.changes.Broadcast()
	if in != nil {
		in.r.Free()
	}
	if closed || was < dirOpen { // there is no link of this node's
		return
	}
	switch why := out.Err(); { // of this side, if it ended the link: reading then says only that it is closed
	case errors.Is(why, net.ErrClosed):
	case why == io.EOF && was == dirOpen: // the peer has left
		p.Log.Info("link ended", c.peer())
	case why != io.EOF:
		p.Log.Warn("link ended", c.peer(), "err", why)
	}
}
