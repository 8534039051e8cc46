package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
)

// Codec is what a connection needs of the root package's Codec.
type Codec interface {
	Append(dst []byte, v any) ([]byte, error)
	Decode(data []byte, v any) error
}

// SendLimit bounds the bytes queued for a peer that does not read. It is more than the
// largest frame. A connection with a longer queue is closed.
const SendLimit = 2 * (wire.MaxLength + wire.PrefixSize)

// Conn carries control messages. Any number of goroutines may call Send; one may call Recv.
type Conn struct {
	conn  net.Conn
	codec Codec
	lease time.Duration // owned by the receiving goroutine
	r     *link.Reader
	w     *link.Writer
	batch []byte // received and not returned yet
	ended error  // the end, received ahead and not returned yet

	registered atomic.Bool // of a connection from a node: it is a member, see scanNode
}

// NewConn wraps a connection whose handshake is done. It receives no message longer than
// max bytes.
func NewConn(conn net.Conn, codec Codec, max int) *Conn {
	return &Conn{
		conn: conn, codec: codec,
		r: link.NewReader(conn, wire.ScanControl, max),
		w: link.NewWriter(conn, SendLimit, SendLimit),
	}
}

// NewNodeConn wraps a registry's connection from a node. It receives no frame that is longer than
// [FrameLimit] allows.
func NewNodeConn(conn net.Conn, codec Codec) *Conn {
	c := &Conn{conn: conn, codec: codec, w: link.NewWriter(conn, SendLimit, SendLimit)}
	c.r = link.NewReader(conn, c.scanNode, MaxReport)
	return c
}

// SetLease makes Recv fail when nothing arrives for a time of d. If d is 0, Recv waits until the
// connection ends, or [Conn.Expire].
func (c *Conn) SetLease(d time.Duration) {
	c.lease = d
	if d == 0 {
		c.conn.SetReadDeadline(time.Time{})
	}
}

// Expire makes Recv fail with [os.ErrDeadlineExceeded]. It is for a caller that measures the
// peer's silence itself: to move a deadline at each message costs a wakeup when the earlier one
// is due. The connection must have no lease.
func (c *Conn) Expire() {
	if err := c.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		c.w.Fail(err) // else Recv might wait for ever
	}
}

// Send queues a message. It does not wait for the network: a peer that does not read loses
// the connection when the queue is full.
func (c *Conn) Send(t wire.Type, v any) error {
	b, err := Encode(c.codec, t, v)
	if err != nil {
		return err
	}
	return c.Pass(b)
}

// Encode makes the frame of a message.
func Encode(codec Codec, t wire.Type, v any) ([]byte, error) {
	b, err := codec.Append(wire.AppendControl(nil, t), v)
	if err == nil {
		err = wire.FinishControl(b, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", v, err)
	}
	return b, nil
}

// Pass is [Conn.Send] for a message that was encoded with the same codec. One frame may go to many
// peers, and must not change any more: their queues share it.
func (c *Conn) Pass(frame []byte) error {
	_, err := c.w.AppendShared(frame)
	if errors.Is(err, link.ErrFull) {
		c.w.Fail(err)
	}
	return err
}

// PassNow is [Conn.Pass] for a caller that holds no lock. If the write need not wait, it
// writes the frame itself instead of starting a goroutine.
func (c *Conn) PassNow(frame []byte) error {
	_, _, due, err := c.w.AppendSpans(frame, []link.Span{{To: len(frame)}})
	if due {
		c.w.WriteDirect()
	}
	if errors.Is(err, link.ErrFull) {
		c.w.Fail(err)
	}
	return err
}

// Recv waits for the next message. Its body is valid until the next call.
func (c *Conn) Recv() (wire.Type, []byte, error) {
	if len(c.batch) == 0 {
		if err := c.fill(); err != nil {
			return 0, nil, err
		}
	}
	f, rest := wire.Next(c.batch)
	c.batch = rest
	return f.Type(), f[wire.PrefixSize:], nil
}

func (c *Conn) fill() (err error) {
	if c.ended != nil {
		return c.ended
	}
	if c.lease > 0 {
		if err := c.conn.SetReadDeadline(time.Now().Add(c.lease - c.lease/4)); err != nil {
			return err // without a deadline it might wait for ever
		}
	}
	c.batch, err = c.r.Next()
	if c.lease > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		// A process that was stopped for longer than the lease finds its deadline passed,
		// while messages of the peer lie unread. So it reads once more.
		if err := c.conn.SetReadDeadline(time.Now().Add(c.lease / 4)); err != nil {
			return err
		}
		c.batch, err = c.r.Next()
	}
	return err
}

// Decode decodes a body into v, see [Decode].
func (c *Conn) Decode(body []byte, v any) error { return Decode(c.codec, body, v) }

// Decode decodes the body of a message into v. It refuses lists that are too long before it makes
// memory for them.
func Decode(codec Codec, body []byte, v any) error {
	err := checkLists(codec, body, v)
	if err == nil {
		err = codec.Decode(body, v)
	}
	if err != nil {
		return fmt.Errorf("%w: decoding %T: %w", wire.ErrBody, v, err)
	}
	return nil
}

// Shutdown sends what is queued, for at most the given time, and closes.
func (c *Conn) Shutdown(limit time.Duration) { c.w.Shutdown(limit) }

// Close closes the connection at once and waits for its writer.
func (c *Conn) Close() { c.w.Close() }

// Free returns the memory of the receiving goroutine. It must be that goroutine's last call.
func (c *Conn) Free() { c.r.Free() }

// LocalAddr is the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }
