package secure

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// carrier is the connection below TLS. TLS writes each record alone, and reads little more than one
// at a time. The carrier writes several at once, and reads several at once while they come fast.
type carrier struct {
	net.Conn

	// writing. TLS may write an alert, or the answer to an update of keys, from the goroutine that
	// reads. Records must not overtake each other, so mu is held while they are written, as TLS
	// holds its own.
	mu        sync.Mutex
	gathering bool
	out       *carried

	// owned by the goroutine that reads
	small      [1 << 10]byte // what an idle connection reads into
	in         *carried      // what a busy one reads into; nil for small
	start, end int           // of the bytes that TLS has not read
	left       int           // of them, and of those to come, the rest of a record that TLS has begun to read
	busy       bool          // the last read filled its buffer, or much of it
}

// carriedSize is the size of the buffers: four records with what TLS adds to them.
const carriedSize = 4 * (recordSize + 256)

type carried struct {
	b [carriedSize]byte
	n int
}

var carriedPool = sync.Pool{New: func() any { return new(carried) }}

// gather keeps what is written from now on, until flush.
func (c *carrier) gather() {
	c.mu.Lock()
	c.gathering = true
	c.mu.Unlock()
}

// flush writes what was kept.
func (c *carrier) flush() (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gathering = false
	if out := c.out; out != nil {
		err = c.writeOut()
		c.out = nil
		carriedPool.Put(out)
	}
	return err
}

// writeOut needs mu.
func (c *carrier) writeOut() error {
	n := c.out.n
	c.out.n = 0
	if n == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.out.b[:n])
	return err
}

// Write writes a record, or keeps it.
func (c *carrier) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gathering {
		return c.Conn.Write(b)
	}
	if c.out == nil {
		c.out = carriedPool.Get().(*carried)
		c.out.n = 0
	}
	if c.out.n+len(b) > len(c.out.b) {
		if err := c.writeOut(); err != nil {
			return 0, err
		}
	}
	if len(b) > len(c.out.b) { // TLS has no such records
		return c.Conn.Write(b)
	}
	c.out.n += copy(c.out.b[c.out.n:], b)
	return len(b), nil
}

// Read reads for TLS, never beyond the end of a record: so hasRecord knows all that has arrived. An
// idle connection has a small buffer only. One that has read into a large buffer and then waits is
// told so by a deadline, see link.Reader.
func (c *carrier) Read(b []byte) (int, error) {
	for c.left == 0 && c.end-c.start < recordHead || c.start == c.end {
		err := c.fill()
		if err == io.EOF && c.end > c.start { // within a head: TLS must not take it for an end between records
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
	}
	if c.left == 0 {
		c.left = c.recordLength()
	}
	n := copy(b, c.buffer()[c.start:min(c.end, c.start+c.left)])
	c.start, c.left = c.start+n, c.left-n
	return n, nil
}

func (c *carrier) buffer() []byte {
	if c.in != nil {
		return c.in.b[:]
	}
	return c.small[:]
}

// fill reads once, behind the bytes that there are: less than a record's head.
func (c *carrier) fill() error {
	rest := c.buffer()[c.start:c.end]
	before := c.in
	switch {
	case c.busy && c.in == nil:
		c.in = carriedPool.Get().(*carried)
	case !c.busy:
		c.in = nil
	}
	b := c.buffer()
	c.start, c.end = 0, copy(b, rest)
	if before != nil && c.in == nil {
		carriedPool.Put(before)
	}
	n, err := c.Conn.Read(b[c.end:])
	c.end += n
	c.busy = c.end == len(b) || c.in != nil && n >= recordSize/2
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// recordHead is the length of a record's head: type, version, length.
const recordHead = 5

// recordLength returns the length of the record that begins with the next byte.
func (c *carrier) recordLength() int {
	return recordHead + int(binary.BigEndian.Uint16(c.buffer()[c.start+3:]))
}

// hasRecord reports whether a whole record has arrived that TLS has not read.
func (c *carrier) hasRecord() bool {
	have := c.end - c.start
	return c.left == 0 && have >= recordHead && have >= c.recordLength()
}
