package ringdht

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// maxHandshakes bounds the connections that have not said yet who they are; more
// wait in the listener's queue.
const maxHandshakes = 256

// dial connects to addr and introduces itself. The error of a refusal matches
// [ErrHandshake] and carries the other side's reason.
func (c *common) dial(ctx context.Context, addr string, h wire.Hello) (net.Conn, wire.Answer, error) {
	h.Codec, h.RingName = c.codec.Name(), c.ringName
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, c.handshake)
	defer cancel()
	conn, err := c.transport.Dial(ctx, addr)
	if err != nil {
		return nil, wire.Answer{}, err
	}
	stop := context.AfterFunc(ctx, func() {
		if setDeadline(conn, time.Unix(1, 0)) != nil {
			conn.Close()
		}
	})
	answer, err := introduce(conn, h)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil && answer.Status != wire.OK {
		err = fmt.Errorf("%w by %s: %s", ErrHandshake, addr, answer.Reason)
	}
	if err != nil {
		conn.Close()
		if caller.Err() != nil {
			err = context.Cause(caller)
		} else if ctx.Err() != nil {
			err = fmt.Errorf("%s did not answer the handshake within %v", addr, c.handshake)
		}
		return nil, answer, err
	}
	return conn, answer, nil
}

// errNoHello is what becomes of a connection over which nothing came: a health check, mostly,
// or a look whether the port is open.
var errNoHello = errors.New("nothing came")

// heard knows whether anything was read.
type heard struct {
	io.Reader
	any bool
}

func (r *heard) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.any = r.any || n > 0
	return n, err
}

// refusedConn logs that a connection was not welcome.
func (c *common) refusedConn(conn net.Conn, err error) {
	if errors.Is(err, errNoHello) {
		c.log.Debug("connection without a handshake", "from", conn.RemoteAddr(), "err", err)
		return
	}
	c.warnOften(reasonOf(err), "connection refused", "from", conn.RemoteAddr(), "err", err)
}

func introduce(conn net.Conn, h wire.Hello) (wire.Answer, error) {
	b, err := h.Append(nil)
	if err != nil {
		return wire.Answer{}, err
	}
	if _, err := conn.Write(b); err != nil {
		return wire.Answer{}, err
	}
	a, err := wire.ReadAnswer(conn)
	if errors.Is(err, wire.ErrNotRing) || errors.Is(err, wire.ErrVersion) {
		err = fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	return a, err
}

// welcome reads the hello of a connection that was accepted and answers it with
// what check makes of it. A refusal is logged, answered and returned.
func (c *common) welcome(conn net.Conn, check func(wire.Hello) wire.Answer) (wire.Hello, error) {
	if err := setDeadline(conn, time.Now().Add(c.handshake)); err != nil {
		return wire.Hello{}, err
	}
	r := &heard{Reader: conn}
	h, err := wire.ReadHello(r)
	var a wire.Answer
	switch {
	case err != nil && !r.any:
		return h, fmt.Errorf("%w: %w", errNoHello, err)
	case errors.Is(err, wire.ErrVersion):
		a = wire.Answer{Status: wire.BadVersion, Reason: fmt.Sprintf("this side speaks version %d of the protocol", wire.Version)}
	case err != nil:
		return h, err // not one of us: there is nobody to answer
	case h.RingName != c.ringName:
		a = wire.Answer{Status: wire.WrongRing, Reason: fmt.Sprintf(
			"this is ring %q, you asked for %q: set the same name on both sides (WithRing)", c.ringName, h.RingName)}
	case h.Codec != c.codec.Name():
		a = wire.Answer{Status: wire.WrongCodec, Reason: fmt.Sprintf(
			"this ring uses the codec %q, you asked for %q: set the same codec on both sides (WithCodec)", c.codec.Name(), h.Codec)}
	default:
		a = check(h)
	}
	if _, err := conn.Write(a.Append(nil)); err != nil {
		return h, err
	}
	if a.Status != wire.OK {
		return h, fmt.Errorf("refused: %s", a.Reason)
	}
	return h, setDeadline(conn, time.Time{})
}

// accept accepts connections until the listener is closed and serves each on a
// goroutine of its own. serve returns when the connection is over. Whatever fails
// meanwhile, such as a lack of file descriptors, only slows accepting down.
func (c *common) accept(ctx context.Context, l net.Listener, start func(func()), serve func(net.Conn, func())) error {
	slots := make(chan struct{}, maxHandshakes)
	pause := 5 * time.Millisecond
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ErrClosed
		}
		conn, err := acceptFrom(l)
		if err != nil {
			if ctx.Err() != nil {
				return ErrClosed
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			<-slots
			c.warnOften(reasonOf(err), "cannot accept connections, trying again", "addr", l.Addr(), "err", err, "in", pause)
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return ErrClosed
			}
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		start(func() { serve(conn, func() { <-slots }) })
	}
}

// isProtocolError says that a connection ended because of what came over it, and
// not because somebody closed it.
func isProtocolError(err error) bool {
	return errors.Is(err, wire.ErrType) || errors.Is(err, wire.ErrTooLong) || errors.Is(err, wire.ErrShort) ||
		errors.Is(err, io.ErrUnexpectedEOF)
}
