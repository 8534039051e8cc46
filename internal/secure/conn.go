package secure

import (
	"crypto/tls"
	"net"
	"sync"
)

// Conn is a connection of TLS for links, which write much at a time and read what there is.
//
// Its Close never waits for the other end. That of tls.Conn sends an alert first, which says that
// nothing was cut off. Frames say themselves where they end, so a connection that was cut is no
// shorter message.
type Conn struct {
	*tls.Conn
	below *below
}

// below is the connection under TLS, which is replaced once.
type below struct{ net.Conn }

// NewClient makes TLS of a connection that this side has dialled.
func NewClient(conn net.Conn, config *tls.Config) *Conn {
	c := &below{conn}
	return &Conn{tls.Client(c, config), c}
}

// NewServer makes TLS of a connection that this side has accepted.
func NewServer(conn net.Conn, config *tls.Config) *Conn {
	c := &below{conn}
	return &Conn{tls.Server(c, config), c}
}

// Close closes the connection at once.
func (c *Conn) Close() error { return c.below.Close() }

// Below replaces the connection below, once, after the handshake and before any other use: a wrapper
// of the one that carries the same bytes, which only the handshake needs.
func (c *Conn) Below(conn net.Conn) { c.below.Conn = conn }

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.below.Conn }

// recordSize is how many bytes a record of TLS carries at most.
const recordSize = 16 << 10

var recordPool = sync.Pool{New: func() any { return new([recordSize]byte) }}

// WriteBuffers writes several pieces, in records that are full but for the last. One goroutine may
// write at a time.
//
// Each record is a write of its own, as crypto/tls has it. Several in one write were tried, below
// TLS: the CPU time of a message fell by 2 % and less, for sealing is what takes it.
func (c *Conn) WriteBuffers(pieces [][]byte) error {
	if len(pieces) == 1 {
		_, err := c.Conn.Write(pieces[0])
		return err
	}
	record := recordPool.Get().(*[recordSize]byte)
	defer recordPool.Put(record)
	filled := 0
	for _, b := range pieces {
		if filled == 0 && len(b) >= recordSize {
			whole := len(b) - len(b)%recordSize
			if _, err := c.Conn.Write(b[:whole]); err != nil {
				return err
			}
			b = b[whole:]
		}
		for len(b) > 0 {
			n := copy(record[filled:], b)
			filled, b = filled+n, b[n:]
			if filled == recordSize {
				if _, err := c.Conn.Write(record[:]); err != nil {
					return err
				}
				filled = 0
			}
		}
	}
	if filled == 0 {
		return nil
	}
	_, err := c.Conn.Write(record[:filled])
	return err
}
