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
	carrier *carrier
}

// NewClient makes TLS of a connection that this side has dialled.
func NewClient(conn net.Conn, config *tls.Config) *Conn {
	c := &carrier{Conn: conn}
	return &Conn{tls.Client(c, config), c}
}

// NewServer makes TLS of a connection that this side has accepted.
func NewServer(conn net.Conn, config *tls.Config) *Conn {
	c := &carrier{Conn: conn}
	return &Conn{tls.Server(c, config), c}
}

// Close closes the connection at once.
func (c *Conn) Close() error { return c.carrier.Close() }

// Below replaces the connection below, once, after the handshake and before any other use: a wrapper
// of the one that carries the same bytes, which only the handshake needs.
func (c *Conn) Below(conn net.Conn) { c.carrier.Conn = conn }

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.carrier.Conn }

// recordSize is how many bytes a record of TLS carries at most.
const recordSize = 16 << 10

var recordPool = sync.Pool{New: func() any { return new([recordSize]byte) }}

// WriteBuffers writes several pieces as one. They fill the records, and several records share a
// write of the connection below. One goroutine may write at a time.
func (c *Conn) WriteBuffers(pieces [][]byte) error {
	c.carrier.gather()
	err := c.writeRecords(pieces)
	if e := c.carrier.flush(); err == nil {
		err = e
	}
	return err
}

func (c *Conn) writeRecords(pieces [][]byte) error {
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

// Read reads what has arrived, as many whole records as b has room for.
func (c *Conn) Read(b []byte) (n int, err error) {
	n, err = c.Conn.Read(b)
	for err == nil && len(b)-n >= recordSize && c.carrier.hasRecord() {
		var more int
		more, err = c.Conn.Read(b[n:])
		n += more
	}
	if n > 0 {
		return n, nil // an error comes again
	}
	return 0, err
}
