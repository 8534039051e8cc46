package handshake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/wire"
)

// maxHandshakes bounds the connections whose handshake is not done. More wait in the listener's
// queue.
const maxHandshakes = 256

// Dial connects to addr and says what this side is. The error of a refusal matches
// errs.ErrHandshake and has the other side's reason.
func (c *Config) Dial(ctx context.Context, addr string, h wire.Hello) (net.Conn, wire.Answer, error) {
	h.Codec, h.RingName = c.Codec.Name(), c.RingName
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := c.Transport.Dial(ctx, addr)
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
		err = fmt.Errorf("%w by %s: %s", errs.ErrHandshake, addr, answer.Reason)
	}
	if err != nil {
		conn.Close()
		if caller.Err() != nil {
			err = context.Cause(caller)
		} else if ctx.Err() != nil {
			err = fmt.Errorf("%s did not answer the handshake within %v", addr, c.Timeout)
		}
		return nil, answer, err
	}
	return conn, answer, nil
}

// errNoHello is the error of a connection that sent nothing. Most are health checks and port scans.
var errNoHello = errors.New("nothing was received")

// readTracker records whether anything was read.
type readTracker struct {
	io.Reader
	got bool
}

func (r *readTracker) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.got = r.got || n > 0
	return n, err
}

// outdatedError is the error of a peer that dialled an incarnation which is not here. Restarts at
// the same address cause it, most of all while the registry is away. The peer's next table ends it.
type outdatedError struct{ reason string }

func (e *outdatedError) Error() string { return "refused: " + e.reason }

// RefusedConn logs a connection that Welcome did not accept, as a warning unless a restart explains
// it. One that sent nothing is logged at Debug only.
func (c *Config) RefusedConn(conn net.Conn, err error) {
	if errors.Is(err, errNoHello) {
		c.Log.Debug("connection without a handshake", "from", conn.RemoteAddr(), "err", err)
		return
	}
	level := slog.LevelWarn
	if _, outdated := errors.AsType[*outdatedError](err); outdated {
		level = slog.LevelInfo
	}
	c.logOften(level, ReasonOf(err), "connection refused", "from", conn.RemoteAddr(), "err", err)
}

// introduce sends the hello and reads the answer.
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
		err = fmt.Errorf("%w: %w", errs.ErrHandshake, err)
	}
	return a, err
}

// Welcome reads the hello of an accepted connection and sends the answer that check gives. A
// refusal is answered and returned as an error.
func (c *Config) Welcome(conn net.Conn, check func(wire.Hello) wire.Answer) (wire.Hello, error) {
	if err := setDeadline(conn, time.Now().Add(c.Timeout)); err != nil {
		return wire.Hello{}, err
	}
	r := &readTracker{Reader: conn}
	h, err := wire.ReadHello(r)
	var a wire.Answer
	switch {
	case err != nil && !r.got:
		return h, fmt.Errorf("%w: %w", errNoHello, err)
	case errors.Is(err, wire.ErrVersion):
		a = wire.Answer{Status: wire.BadVersion, Reason: wire.VersionAdvice()}
	case err != nil:
		return h, err // it does not speak this protocol and would not understand an answer
	case h.RingName != c.RingName:
		a = wire.Answer{Status: wire.WrongRing, Reason: fmt.Sprintf(
			"this is ring %q, you asked for %q: set the same name on both sides (WithRing)", c.RingName, h.RingName)}
	case h.Codec != c.Codec.Name():
		a = wire.Answer{Status: wire.WrongCodec, Reason: fmt.Sprintf(
			"this ring uses the codec %q, you asked for %q: set the same codec on both sides (WithCodec)", c.Codec.Name(), h.Codec)}
	default:
		a = check(h)
	}
	if _, err := conn.Write(a.Append(nil)); err != nil {
		return h, err
	}
	switch a.Status {
	case wire.OK:
	case wire.WrongIdentity:
		return h, &outdatedError{cmp.Or(a.Detail, a.Reason)}
	default:
		return h, fmt.Errorf("refused: %s", cmp.Or(a.Detail, a.Reason))
	}
	return h, setDeadline(conn, time.Time{})
}

// Accept accepts connections until the listener is closed. It serves each on a goroutine that start
// starts. serve calls its second argument when the handshake is done, and returns when the
// connection has ended. Any other failure, such as a lack of file descriptors, only delays the next
// attempt.
func (c *Config) Accept(ctx context.Context, l net.Listener, start func(func()), serve func(net.Conn, func())) error {
	slots := make(chan struct{}, maxHandshakes)
	delays := backoff.Backoff{Min: 5 * time.Millisecond, Max: time.Second}
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return errs.ErrClosed
		}
		conn, err := acceptFrom(l)
		if err != nil {
			if ctx.Err() != nil {
				return errs.ErrClosed
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			<-slots
			delay := delays.Next()
			c.WarnOften(ReasonOf(err), "cannot accept connections, trying again", "addr", l.Addr(), "err", err, "in", delay)
			if Sleep(ctx, delay) != nil {
				return errs.ErrClosed
			}
			continue
		}
		delays.Reset()
		start(func() { serve(conn, func() { <-slots }) })
	}
}

// IsProtocolError reports whether a connection ended because of what was received over it, and not
// because a side closed it.
func IsProtocolError(err error) bool {
	_, broken := wire.Broken(err)
	_, told := errors.AsType[wire.Violation](err)
	return broken || told || errors.Is(err, io.ErrUnexpectedEOF)
}
