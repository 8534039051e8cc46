package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// tlsConn is a connection of a secure ring. Its Close never waits for the other end, as that of
// tls.Conn does, which sends an alert first. The frames say themselves where they end, so a
// connection that was cut is no shorter message.
type tlsConn struct {
	*tls.Conn
	carrier *carrier
}

// Close closes the connection at once.
func (c *tlsConn) Close() error { return c.carrier.Close() }

// NetConn returns the transport's connection.
func (c *tlsConn) NetConn() net.Conn { return c.carrier.Conn }

// carrier is the transport's connection below TLS.
type carrier struct {
	net.Conn
	got bool // a byte has arrived; owned by the reader
}

func (c *carrier) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.got = c.got || n > 0
	return n, err
}

// errNoProtocol is the error of a handshake that has agreed on none of our protocols.
var errNoProtocol = errors.New("the other side named no protocol (ALPN)")

// secureDialled makes TLS of a connection that was dialled. The other side has proven what the
// hello says of it, and has heard nothing of it yet.
func (c *Config) secureDialled(ctx context.Context, conn net.Conn, h wire.Hello) (net.Conn, secure.Proof, error) {
	var proof secure.Proof
	protocol := c.Security.Dials(h.Role)
	side := secure.Side{Certificate: c.Security.Certificate, Check: func(cs *tls.ConnectionState) (err error) {
		if cs.NegotiatedProtocol != protocol {
			return errNoProtocol
		}
		proof, err = c.Security.Check(h.Role, cs)
		return err
	}}
	under := &carrier{Conn: conn}
	over := &tlsConn{tls.Client(under, side.Client(protocol)), under}
	if err := over.HandshakeContext(ctx); err != nil {
		return conn, secure.Proof{}, explained(err, protocol)
	}
	cs := over.ConnectionState()
	proof.State = &cs // that of Check cannot export keying material
	return over, proof, mayDial(h, proof)
}

// secureAccepted makes TLS of a connection that was accepted. verdict is why the other side is not
// believed. TLS could say so with an alert only, the same for all reasons. So the verdict goes into
// the answer to the hello, and until then nothing of the connection is used.
func (c *Config) secureAccepted(conn net.Conn) (over net.Conn, proof secure.Proof, verdict, err error) {
	side := secure.Side{Certificate: c.Security.Certificate, Check: func(cs *tls.ConnectionState) error {
		if cs.NegotiatedProtocol == "" {
			return errNoProtocol
		}
		proof, verdict = c.Security.Check(0, cs)
		return nil
	}}
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	under := &carrier{Conn: conn}
	secured := &tlsConn{tls.Server(under, side.Server(c.Security.Accepts()...)), under}
	if err := secured.HandshakeContext(ctx); err != nil {
		if !under.got {
			return conn, secure.Proof{}, nil, fmt.Errorf("%w: %w", errNoHello, err)
		}
		return conn, secure.Proof{}, nil, explained(err, "")
	}
	cs := secured.ConnectionState()
	proof.State = &cs
	return secured, proof, verdict, nil
}
