package peers

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// Conn is a connection with one incarnation of a peer. The package comment has its states.
//
// The owner's goroutine that reads it calls its methods: [Conn.AwaitReader] first, then
// [Conn.Handle] and [Conn.PeerEnded], and [Conn.End] and [Conn.Remove] at the end.
type Conn struct {
	// static after construction
	s       *Set
	nc      net.Conn
	peer    ring.Ref
	dialled bool // by this node

	// guarded by Set.mu; only the reader changes recvState, so it may read it without
	sendState, recvState dirState
	out                  *Link        // nil until there is something to write
	in                   *link.Reader // nil until the peer may send
	closeTimer           *time.Timer  // closes a connection that the peer does not close
	accepted                          // if the peer has dialled

	// owned by the reader
	sawEnd bool // End has come: nothing follows
}

// dirState is the state of one direction of a connection.
type dirState uint8

const (
	dirUnused dirState = iota
	dirAsked           // the peer, which dialled, was asked to share the connection
	dirOpen
	dirEnded // End was sent, or waits behind what is being written
)

// newConn registers a connection. It needs mu, and a set that is not closed.
func (s *Set) newConn(nc net.Conn, peer ring.Ref, dialled bool) *Conn {
	c := &Conn{s: s, nc: nc, peer: peer, dialled: dialled}
	if dialled {
		c.sendState = dirOpen
		c.ensureWriter()
	} else {
		c.openReader()
	}
	s.conns[c] = struct{}{}
	s.wg.Add(1) // until Remove
	return c
}

// openReader lets the peer send. It needs mu.
func (c *Conn) openReader() {
	c.recvState, c.in = dirOpen, link.NewReader(c.nc, wire.ScanFirst, c.s.cfg.MaxFrame)
}

// ensureWriter needs mu.
func (c *Conn) ensureWriter() *Link {
	if c.out == nil {
		c.out = c.s.newLink(c)
		c.out.KeepLeftover()
	}
	return c.out
}

// Peer returns the incarnation at the other end. It is the node itself at the far end of the
// loopback.
func (c *Conn) Peer() ring.Ref { return c.peer }

// attr is the other end, as logs show it.
func (c *Conn) attr() slog.Attr {
	return slog.Group("peer", "id", c.peer.ID, "addr", c.nc.RemoteAddr())
}

// AwaitReader waits until the peer may send, and returns the reader for what it sends. Most
// connections that this node has dialled stay like this for ever, so no buffer is kept.
func (c *Conn) AwaitReader() (*link.Reader, error) {
	var b [wire.HeaderSize]byte
	for c.in == nil { // the reader itself sets it
		if _, err := io.ReadFull(c.nc, b[:wire.PrefixSize]); err != nil {
			return nil, err
		}
		if _, _, err := wire.Scan(b[:wire.PrefixSize], c.s.cfg.MaxFrame); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c.nc, b[wire.PrefixSize:]); err != nil {
			return nil, err
		}
		f, more := wire.Frame(b[:]), wire.Size(b[:])-wire.HeaderSize
		switch {
		case f.Type() == wire.Violated:
			f = append(f, make([]byte, more)...)
			if _, err := io.ReadFull(c.nc, f[wire.HeaderSize:]); err != nil {
				return nil, err
			}
		case f.Type().Extension():
			if _, err := io.CopyN(io.Discard, c.nc, int64(more)); err != nil {
				return nil, err
			}
		}
		if err := c.Handle(f); err != nil {
			return nil, err
		}
	}
	return c.in, nil
}

// Handle handles a frame about the connection itself, or returns which rule the frame breaks
// here. It is also given the first frame that comes after the peer's End.
func (c *Conn) Handle(f wire.Frame) error {
	t := f.Type()
	sends := c.recvState == dirOpen && !c.sawEnd
	rule := wire.ErrNotOpen // for Ping and End, and for frames of streams
	switch {
	case c.peer.ID == c.s.cfg.Self: // the loopback sends none
		rule = wire.ErrType
	case t == wire.Violated:
		v, err := wire.ParseViolation(f)
		if err == nil {
			return v
		}
		return fmt.Errorf("the peer has ended the link for a violation, without a reason: %w", err)
	case !t.ConnectionOnly():
	case t.Extension():
		c.s.unknown.Add(1)
		return nil
	case !f.IsBare(t):
		rule = wire.ErrNotBare
	case t == wire.Ping && sends:
		return c.answerPing(f.Seq())
	case t == wire.Pong:
		c.s.mu.RLock()
		out := c.out
		c.s.mu.RUnlock()
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
		c.sawEnd = true // the frames before it are taken in first
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

// Ending reports whether the peer's End has come. Then the owner takes in what came before it,
// and calls [Conn.PeerEnded].
func (c *Conn) Ending() bool { return c.sawEnd }

// PeerEnded ends the peer's direction. All that came before the peer's End has been taken in.
func (c *Conn) PeerEnded() {
	if c.recvState != dirOpen {
		return
	}
	s := c.s
	s.mu.Lock()
	c.recvState = dirEnded
	s.notePeerEnded(c)
	done, out := c.sendState != dirOpen, c.out
	s.converge(c.peer.ID)
	s.mu.Unlock()
	s.changes.Broadcast()
	if done && out != nil {
		out.RetireWithin(RetireTimeout) // when all is written
	} else if done {
		c.nc.Close()
	}
}

// RetireTimeout is how long a link that is out of use may take to write what it holds, and then
// how long the peer may take to close a connection that it does not use. So a peer that does not
// read cannot keep the connection for ever.
const RetireTimeout = 10 * time.Second

// retire sends End behind everything that the link holds. The caller has taken the link out of
// use, has set sendState to dirEnded, and does not hold mu.
func (l *Link) retire() {
	l.room.Broadcast() // those that wait have another way now
	l.Finish(connFrame(wire.End, 0), RetireTimeout)
	c := l.conn
	c.s.mu.Lock()
	if _, up := c.s.conns[c]; up && c.closeTimer == nil {
		c.closeTimer = time.AfterFunc(RetireTimeout, c.closeUnused)
	} else if up {
		c.closeTimer.Reset(RetireTimeout)
	}
	c.s.mu.Unlock()
}

// closeUnused closes a connection on which this node sent End long ago, unless the peer goes on
// sending.
func (c *Conn) closeUnused() {
	c.s.mu.RLock()
	used := c.recvState == dirOpen && !c.s.draining
	c.s.mu.RUnlock()
	if !used {
		c.s.endConn(c, net.ErrClosed)
	}
}

// closeNow closes the connection, and tells the writer the reason, if there is one. A peer that
// has broken a rule is told which, as far as it reads.
func (c *Conn) closeNow(out *Link, err error) {
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

// End closes a connection that the owner reads no more; err is why. It returns the connection's
// link, or nil, and the frames that the link has not begun to write: the owner sends them another
// way, which is no longer that link. Then it calls [Conn.Remove].
func (c *Conn) End(err error) (l *Link, left fifo.Queue) {
	s := c.s
	s.mu.Lock()
	was := c.sendState
	c.recvState = dirEnded // so the connection is not asked for any more
	l = c.out
	s.mu.Unlock()
	if l != nil {
		s.Unlink(l) // before closeNow, which may take a while
	}
	c.closeNow(l, err)
	if l == nil {
		return nil, left
	}
	if was >= dirOpen { // else this node had no link here
		c.logEnd(l.Err(), was)
	}
	return l, l.Leftover()
}

// logEnd logs the end of a link. Reading only says that the connection was closed; the writer
// knows the reason if this side ended the link.
func (c *Conn) logEnd(why error, was dirState) {
	c.s.mu.RLock()
	closed := c.s.closed
	c.s.mu.RUnlock()
	switch {
	case closed, errors.Is(why, net.ErrClosed):
	case why == io.EOF && was == dirOpen: // the peer has left
		c.s.cfg.Log.Info("link ended", c.attr())
	case errors.Is(why, syscall.ECONNRESET), errors.Is(why, syscall.EPIPE): // likewise, with something unread
		c.s.cfg.Log.Info("link ended", c.attr(), "err", why)
	case why != io.EOF:
		c.s.cfg.Log.Warn("link ended", c.attr(), "err", why)
	}
}

// Remove takes a connection that has ended out of the set. It returns why the connection has
// ended, given why reading has.
func (c *Conn) Remove(err error) error {
	s := c.s
	if c.out != nil { // nothing changes it after End
		c.out.Close()
	}
	s.mu.Lock()
	delete(s.conns, c)
	s.discharge(c)
	if c.closeTimer != nil {
		c.closeTimer.Stop()
	}
	s.ended.add(c)
	s.mu.Unlock()
	s.changes.Broadcast()
	if c.in != nil {
		c.in.Free()
	}
	s.wg.Done()
	switch {
	case c.shed != nil: // nothing changes it now
		return c.shed
	case err != io.EOF && errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	}
	return err
}
