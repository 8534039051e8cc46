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

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// Dial connects to addr and says what this side is. In a secure ring the other side has proven by
// then that it is what the hello says of it. The error of a refusal matches errs.ErrHandshake and
// has the other side's reason.
func (c *Config) Dial(ctx context.Context, addr string, h wire.Hello) (net.Conn, wire.Answer, secure.Proof, error) {
	h.Codec, h.RingName = c.Codec.Name(), c.RingName
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := c.Transport.Dial(ctx, addr)
	if err != nil {
		return nil, wire.Answer{}, secure.Proof{}, err
	}
	carried := conn
	stop := context.AfterFunc(ctx, func() {
		if setDeadline(carried, time.Unix(1, 0)) != nil {
			carried.Close()
		}
	})
	var answer wire.Answer
	var proof secure.Proof
	if c.Security != nil {
		conn, proof, err = c.secureDialled(ctx, conn, h)
	}
	if err == nil {
		answer, err = introduce(conn, h)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil && answer.Status != wire.OK {
		err = refusalBy(addr, answer)
	}
	if err != nil {
		conn.Close()
		if caller.Err() != nil {
			err = context.Cause(caller)
		} else if ctx.Err() != nil {
			err = fmt.Errorf("%s did not answer the handshake within %v", addr, c.Timeout)
		}
		return nil, answer, secure.Proof{}, err
	}
	if c.Inside != nil {
		conn = c.Inside(addr, conn)
	}
	return conn, answer, proof, nil
}

// errNoHello is the error of a connection that sent nothing. Most are health checks and port scans.
var errNoHello = errors.New("nothing was received")

// readTracker keeps the first bytes that were read, and tells the arrival when it waits.
type readTracker struct {
	io.Reader
	arrival *arrival // or nil
	first   []byte
}

func (r *readTracker) Read(b []byte) (int, error) {
	r.arrival.await()
	n, err := r.Reader.Read(b)
	r.arrival.work()
	r.first = append(r.first, b[:min(n, 8-len(r.first))]...)
	return n, err
}

// outdatedError is the error of a peer that dialled an incarnation which is not here. Restarts at
// the same address cause it, most of all while the registry is away. The peer's next table ends it.
type outdatedError struct{ reason string }

func (e *outdatedError) Error() string { return "refused: " + e.reason }

// RefusedConn logs a connection that Welcome did not accept, as a warning unless a restart explains
// it. One that sent nothing is logged at Debug only.
func (c *Config) RefusedConn(conn net.Conn, err error) {
	if errors.Is(err, errNoHello) || errors.Is(err, net.ErrClosed) { // or this side has closed it, see Accept
		c.Log.Debug("connection without a handshake", "from", conn.RemoteAddr(), "err", Quoted(err))
		return
	}
	level := slog.LevelWarn
	_, outdated := errors.AsType[*outdatedError](err)
	if _, brokenOff := errors.AsType[brokenOffError](err); outdated || brokenOff {
		level = slog.LevelInfo
	}
	c.logOften(level, ReasonOf(err), "connection refused", "from", conn.RemoteAddr(), "err", Quoted(err))
}

// ErrNoAdmission is the error of a connection for which a node of a secure ring has nothing to
// present: a peer has heard of it before it was admitted, or has dialled an incarnation that ended.
// A restart explains it.
var ErrNoAdmission = errors.New("this node is not admitted to the ring yet")

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
// refusal is answered and returned as an error. The connection that it returns is the one to use
// from then on, instead of that which Accept gave: in a secure ring it is TLS, and check gets what
// the other side has proven. To close the accepted one is enough.
func (c *Config) Welcome(conn net.Conn, check func(wire.Hello, secure.Proof) wire.Answer) (net.Conn, wire.Hello, secure.Proof, error) {
	h, proof := wire.Hello{}, secure.Proof{}
	conn, arrival := arrived(conn)
	err := setDeadline(conn, time.Now().Add(c.Timeout))
	var verdict error
	if err == nil && c.Security != nil {
		conn, proof, verdict, err = c.secureAccepted(conn, arrival)
	}
	if err == nil {
		h, err = c.welcome(conn, arrival, &proof, verdict, check)
	}
	if err == nil {
		err = setDeadline(conn, time.Time{})
	}
	if err != nil {
		proof = secure.Proof{}
	} else if c.Inside != nil {
		conn = c.Inside("", conn)
	}
	arrival.await() // for what follows the hello
	return conn, h, proof, err
}

// welcome is Welcome behind TLS.
func (c *Config) welcome(conn net.Conn, arrival *arrival, proof *secure.Proof, verdict error, check func(wire.Hello, secure.Proof) wire.Answer) (wire.Hello, error) {
	r := &readTracker{Reader: conn, arrival: arrival}
	h, err := wire.ReadHello(r)
	var a wire.Answer
	switch {
	case err != nil && len(r.first) == 0:
		return h, fmt.Errorf("%w: %w", errNoHello, err)
	case errors.Is(err, wire.ErrVersion):
		a = wire.Answer{Status: wire.BadVersion, Reason: wire.VersionAdvice()}
	case err != nil: // it does not speak this protocol
		if m := mistakeOf(r.first, c.Security != nil); c.Security == nil && m.err != nil {
			farewell(conn, m.answer)
			err = m.err
		}
		return h, err
	case verdict != nil:
		a = refusedFor(verdict)
	case h.RingName != c.RingName:
		a = wire.Answer{Status: wire.WrongRing, Reason: fmt.Sprintf(
			"this is ring %q, you asked for %q: set the same name on both sides (WithRing)", c.RingName, h.RingName)}
	case h.Codec != c.Codec.Name():
		a = wire.Answer{Status: wire.WrongCodec, Reason: fmt.Sprintf(
			"this ring uses the codec %q, you asked for %q: set the same codec on both sides (WithCodec)", c.Codec.Name(), h.Codec)}
	default:
		if c.Security != nil {
			a = mayPresent(h, *proof, proof.State.NegotiatedProtocol)
		}
		if a.Status == wire.OK {
			a = check(h, *proof)
		}
	}
	if _, err := conn.Write(a.Append(nil)); err != nil {
		return h, err
	}
	switch a.Status {
	case wire.OK:
	case wire.WrongIdentity:
		return h, &outdatedError{cmp.Or(a.Detail, a.Reason)}
	default:
		if verdict != nil {
			return h, strangerIf(a.Status, fmt.Errorf("refused, %s: %w", a.Reason, verdict))
		}
		return h, strangerIf(a.Status, fmt.Errorf("refused: %s", cmp.Or(a.Detail, a.Reason)))
	}
	return h, nil
}

// IsProtocolError reports whether a connection ended because of what was received over it, and not
// because a side closed it.
func IsProtocolError(err error) bool {
	_, broken := wire.Broken(err)
	_, told := errors.AsType[wire.Violation](err)
	return broken || told || errors.Is(err, io.ErrUnexpectedEOF)
}
