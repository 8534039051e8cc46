package plane

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// conn is a connection with one incarnation of a peer. It carries up to two links: one from the
// side that dialled, and one back, if the other side asks for it and is allowed to. So two nodes
// that are entries of each other need one connection.
//
// Each direction begins at most once and ends at most once. It ends with an End frame behind
// everything else. A side that receives End and is not sending closes the connection.
//
// The accepting side must ask so that the dialling side always knows whether frames may come. So
// it can tell when it has received everything, see [Plane.Drain], and neither side sends on a
// connection that the other is closing.
//
// Rejected: adoption at will, where the accepting side sends on the connection without asking.
// Its last frames could then be under way while the registry's word, over another path, says that
// all peers have let go.
type conn struct {
	// static after construction
	p       *Plane
	nc      net.Conn
	id, inc uint64 // the peer
	dialled bool   // by this node

	// guarded by Plane.mu; only the reader changes recvState, so it may read it without
	sendState, recvState dirState
	out                  *outLink    // nil until there is something to write
	in                   *inLink     // nil until the peer sends
	closeTimer           *time.Timer // closes a connection that the peer does not close
	accepted                         // if the peer has dialled

	onEnd func(error) // receives the reason when reading has ended; may be nil
}

// dirState is the state of one direction of a connection.
type dirState uint8

const (
	dirUnused dirState = iota
	dirAsked           // the peer, which dialled, was asked to share the connection
	dirOpen
	dirEnded // End was sent, or waits behind what is being written
)

// newConn registers a connection. It needs mu.
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

// ensureWriter needs mu.
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

// run reads until the connection ends, or until another goroutine takes over, see inline.go.
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

// readEnded cleans up after the last read, unless another goroutine reads on.
func (c *conn) readEnded(err error) {
	if err == errHandedOver {
		return
	}
	c.teardown(err)
	switch {
	case c.shed != nil: // nothing changes it after teardown
		err = c.shed
	case err != io.EOF && errors.Is(err, net.ErrClosed):
		err = net.ErrClosed
	}
	if c.onEnd != nil {
		c.onEnd(err)
	}
}

// readUntilShared reads a connection on which the peer may not send yet. Most connections stay
// like this for ever, so it keeps no buffer.
func (c *conn) readUntilShared() error {
	var b [wire.HeaderSize]byte
	for c.in == nil {
		if _, err := io.ReadFull(c.nc, b[:wire.PrefixSize]); err != nil {
			return err
		}
		if _, _, err := wire.Scan(b[:wire.PrefixSize], MaxFrame(c.p.MaxPayload)); err != nil {
			return err
		}
		if _, err := io.ReadFull(c.nc, b[wire.PrefixSize:]); err != nil {
			return err
		}
		f, more := wire.Frame(b[:]), wire.Size(b[:])-wire.HeaderSize
		switch {
		case f.Type() == wire.Violated:
			f = append(f, make([]byte, more)...)
			if _, err := io.ReadFull(c.nc, f[wire.HeaderSize:]); err != nil {
				return err
			}
		case f.Type().Extension():
			if _, err := io.CopyN(io.Discard, c.nc, int64(more)); err != nil {
				return err
			}
		}
		if err := c.handleConnFrame(f); err != nil {
			return err
		}
	}
	return nil
}

// handleConnFrame handles a frame about the connection itself, or returns which rule the frame
// breaks here.
func (c *conn) handleConnFrame(f wire.Frame) error {
	t := f.Type()
	sends := c.recvState == dirOpen && !c.in.sawEnd
	rule := wire.ErrNotOpen // for Ping and End, and for frames of streams
	switch {
	case c.id == c.p.Self: // the loopback sends none
		rule = wire.ErrType
	case t == wire.Violated:
		v, err := wire.ParseViolation(f)
		if err == nil {
			return v
		}
		return fmt.Errorf("the peer has ended the link for a violation, without a reason: %w", err)
	case !t.ConnectionOnly():
	case t.Extension():
		c.p.counters.unknown.Add(1)
		return nil
	case !f.IsBare(t):
		rule = wire.ErrNotBare
	case t == wire.Ping && sends:
		return c.answerPing(f.Seq())
	case t == wire.Pong:
		c.p.mu.RLock()
		out := c.out
		c.p.mu.RUnlock()
		if out != nil && out.probe.confirm(f.Seq()) {
			return nil
		}
		rule = wire.ErrPong
	case t == wire.Share:
		if c.dialled && c.recvState == dirUnused {
			c.allowShare()
			return nil
		}
		rule = wire.ErrShare
	case t == wire.Shared:
		if !c.dialled && c.shareAllowed() {
			return nil
		}
		rule = wire.ErrShared
	case t == wire.End && sends:
		c.in.sawEnd = true // the frames before it are taken in first
		return nil
	}
	return fmt.Errorf("%w: a %v frame of %d bytes", rule, t, wire.Size(f))
}

// accuseTimeout bounds the time that a violation may take to be written.
const accuseTimeout = time.Second

// connFrame is a frame about the connection itself.
func connFrame(t wire.Type, nonce uint64) []byte {
	return wire.Append(nil, wire.Header{Type: t, Seq: nonce}, nil)
}

// peerEnded is called when all that came before the peer's End has been taken in.
func (c *conn) peerEnded() {
	p := c.p
	p.mu.Lock()
	c.recvState = dirEnded
	p.notePeerEnded(c)
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

// retireTimeout is how long a link that is out of use may take to write what it holds, and then
// how long the peer may take to close a connection that it does not use. So a peer that does not
// read cannot keep the connection for ever.
const retireTimeout = 10 * time.Second

// retire sends End behind everything that the link holds. The caller has taken the link out of
// use, has set sendState to dirEnded, and does not hold mu.
func (l *outLink) retire() {
	l.room.Broadcast() // those that wait have another way now
	l.Finish(connFrame(wire.End, 0), retireTimeout)
	l.p.mu.Lock()
	if _, up := l.p.conns[l.conn]; up && l.closeTimer == nil {
		l.closeTimer = time.AfterFunc(retireTimeout, l.closeUnused)
	} else if up {
		l.closeTimer.Reset(retireTimeout)
	}
	l.p.mu.Unlock()
}

// closeUnused closes a connection on which this node sent End long ago, unless the peer goes on
// sending.
func (c *conn) closeUnused() {
	c.p.mu.RLock()
	used := c.recvState == dirOpen && !c.p.draining.Load()
	c.p.mu.RUnlock()
	if !used {
		c.p.endConn(c, net.ErrClosed)
	}
}

// closeNow closes the connection, and tells the writer the reason, if there is one. A peer that
// has broken a rule is told which, as far as it reads.
func (c *conn) closeNow(out *outLink, err error) {
	v, broken := wire.ViolationOf(err)
	switch {
	case out != nil && broken:
		out.FailWith(err, v.Append(nil), accuseTimeout)
	case out != nil:
		out.Fail(err)
	case broken && c.nc.SetWriteDeadline(time.Now().Add(accuseTimeout)) == nil:
		c.nc.Write(v.Append(nil))
		c.nc.Close()
	default:
		c.nc.Close()
	}
}

// teardown cleans up after a connection that has ended. Frames that waited for its link take
// another way.
func (c *conn) teardown(err error) {
	p := c.p
	p.mu.Lock()
	was := c.sendState
	c.recvState = dirEnded // so the connection is not asked for any more
	out, in := c.out, c.in
	p.mu.Unlock()
	if out != nil {
		p.unlink(out) // before closeNow, which may take a while
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
	p.discharge(c)
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
	if closed || was < dirOpen { // this node had no link here
		return
	}
	switch why := out.Err(); { // reading only says that the connection was closed; the writer knows the reason if this side ended the link
	case errors.Is(why, net.ErrClosed):
	case why == io.EOF && was == dirOpen: // the peer has left
		p.Log.Info("link ended", c.peer())
	case errors.Is(why, syscall.ECONNRESET), errors.Is(why, syscall.EPIPE): // likewise, with something unread
		p.Log.Info("link ended", c.peer(), "err", why)
	case why != io.EOF:
		p.Log.Warn("link ended", c.peer(), "err", why)
	}
}
