package memnet

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Pipe returns the two ends of a connection without network and faults. Unlike those of
// [net.Pipe] they are buffered, 64 KiB in each direction, and have CloseWrite.
func Pipe() (net.Conn, net.Conn) {
	k := newLink("pipe:1", "pipe:2")
	return &k.dialer, &k.accepted
}

// A link is a whole connection, both ends and both directions, in one allocation.
type link struct {
	// static
	net      *Network // nil for a Pipe
	from, to string   // hosts; from has dialled
	port     int      // of the dialling end
	nth      uint64   // which connection from from to to, from 0

	dialer, accepted  conn
	forward, backward half         // from dialer to accepted, and back
	open              atomic.Int32 // ends that are not closed
}

func newLink(dialer, accepted textAddr) *link {
	k := new(link)
	k.open.Store(2)
	k.forward.init(&k.backward)
	k.backward.init(&k.forward)
	// Convert the addresses to interfaces once, so that LocalAddr does not allocate.
	var a, b net.Addr = dialer, accepted
	k.dialer = conn{link: k, in: &k.backward, out: &k.forward, local: a, remote: b}
	k.accepted = conn{link: k, in: &k.forward, out: &k.backward, local: b, remote: a}
	return k
}

// A conn is one end of a link. Beyond net.Conn it has CloseWrite.
type conn struct {
	link          *link
	in, out       *half
	local, remote net.Addr
}

// WholeWrites says that a Write may be lost, whole, see [Network.Drop]. So package link, which
// asks for this method, gives each Write whole frames.
func (c *conn) WholeWrites() {}

// Read reads bytes that have arrived. After the peer has closed, it reads the rest and then
// returns io.EOF.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return n, err
}

// Write copies p into the connection's buffer, and waits while that is full. The bytes of
// concurrent Writes do not mix. With an error it returns how many bytes it took before.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// Close ends both directions. Written bytes still reach the peer; unread bytes are lost.
func (c *conn) Close() error { return c.end(closed) }

// CloseWrite ends the outgoing direction: the peer reads io.EOF behind the written bytes, and
// further Writes fail with EPIPE.
func (c *conn) CloseWrite() error {
	if err := c.out.endWrites(halfClosed); err != nil {
		return c.opError("close", err)
	}
	return nil
}

func (c *conn) end(e ending) error {
	if err := c.out.endWrites(e); err != nil {
		return c.opError("close", err)
	}
	c.in.endReads()
	if k := c.link; k.open.Add(-1) == 0 && k.net != nil {
		k.net.mu.Lock()
		k.net.forget(k)
		k.net.mu.Unlock()
	}
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	if err := c.in.setReadDeadline(t); err != nil {
		return c.opError("set", err)
	}
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	if err := c.out.setWriteDeadline(t); err != nil {
		return c.opError("set", err)
	}
	return nil
}

func (c *conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: network, Source: c.local, Addr: c.remote, Err: err}
}
