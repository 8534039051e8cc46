package secure

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
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
type below struct {
	net.Conn
	refused error // see Write; owned by the goroutine that reads
	reader  reader
}

// ErrKeyUpdate ends a connection whose other end asks for new keys of this one (RFC 8446, section
// 4.6.3). Package tls would answer on the goroutine that reads. With an end that does not read it
// would wait there for ever, past all deadlines and leases.
var ErrKeyUpdate = errors.New("the other end asks for new keys of TLS, which is not allowed: it may only renew its own")

// The answer to a request for new keys has 5 bytes, and is a record of 27: with a header, the
// type, and a tag. [Conn.Write] makes no record as long as that, nor does a handshake.
const (
	keyUpdateSize   = 5
	keyUpdateRecord = 5 + keyUpdateSize + 1 + 16
)

// Write writes records. It is the place where the answer to a request for new keys is known, before
// it can wait.
func (c *below) Write(b []byte) (int, error) {
	if len(b) == keyUpdateRecord {
		c.refused = ErrKeyUpdate
		c.Conn.Close()
		return 0, ErrKeyUpdate
	}
	return c.Conn.Write(b)
}

func (c *below) Read(b []byte) (int, error) {
	c.reader.move(&c.reader.waiting, true)
	defer c.reader.move(&c.reader.waiting, false)
	return c.Conn.Read(b)
}

// NewClient makes TLS of a connection that this side has dialled.
func NewClient(conn net.Conn, config *tls.Config) *Conn {
	c := &below{Conn: conn}
	return &Conn{tls.Client(c, config), c}
}

// NewServer makes TLS of a connection that this side has accepted.
func NewServer(conn net.Conn, config *tls.Config) *Conn {
	c := &below{Conn: conn}
	return &Conn{tls.Server(c, config), c}
}

// Close closes the connection at once.
func (c *Conn) Close() error {
	c.below.reader.close()
	return c.below.Close()
}

// SetReadDeadline bounds the reading, also where it would wait for a writer.
func (c *Conn) SetReadDeadline(t time.Time) error {
	err := c.Conn.SetReadDeadline(t)
	c.below.reader.due(t, func() { c.Close() })
	return err
}

// Below replaces the connection below, once, after the handshake and before any other use: a wrapper
// of the one that carries the same bytes, which only the handshake needs.
func (c *Conn) Below(conn net.Conn) { c.below.Conn = conn }

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.below.Conn }

// Read reads what has arrived. One goroutine may read at a time.
func (c *Conn) Read(b []byte) (int, error) {
	c.below.reader.move(&c.below.reader.inside, true)
	defer c.below.reader.move(&c.below.reader.inside, false)
	n, err := c.Conn.Read(b)
	if c.below.refused != nil { // TLS itself goes on, with the old keys
		return 0, c.below.refused
	}
	return n, err
}

// Write writes one piece. Of 5 bytes it makes two records, see [ErrKeyUpdate].
func (c *Conn) Write(b []byte) (n int, err error) {
	if len(b)%recordSize != keyUpdateSize {
		return c.Conn.Write(b)
	}
	if n, err = c.Conn.Write(b[:len(b)-1]); err != nil {
		return n, err
	}
	last, err := c.Conn.Write(b[len(b)-1:])
	return n + last, err
}

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
		_, err := c.Write(pieces[0])
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
	_, err := c.Write(record[:filled])
	return err
}
