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

	// while an accepted connection is in its handshake; owned by its goroutine
	arrival *arrival      // or nil
	crypto  chan struct{} // see places; nil for none
	holds   bool          // it has a place in crypto
}

func (c *carrier) Read(b []byte) (int, error) {
	c.pause()
	c.arrival.await()
	n, err := c.Conn.Read(b)
	c.arrival.work()
	c.resume()
	c.got = c.got || n > 0
	return n, err
}

func (c *carrier) Write(b []byte) (int, error) {
	c.pause()
	defer c.resume()
	return c.Conn.Write(b)
}

// pause gives the place in crypto back while the handshake does not compute, and resume waits for
// one.
func (c *carrier) pause() {
	if c.holds {
		c.holds = false
		<-c.crypto
	}
}

func (c *carrier) resume() {
	if c.crypto != nil {
		c.crypto <- struct{}{}
		c.holds = true
	}
}

// handshakeDone ends what concerns the handshake only.
func (c *carrier) handshakeDone() {
	c.pause()
	c.arrival, c.crypto = nil, nil
}

// secureDialled makes TLS of a connection that was dialled. The other side has proven what the
// hello says of it, and has heard nothing of it yet.
func (c *Config) secureDialled(ctx context.Context, conn net.Conn, h wire.Hello) (net.Conn, secure.Proof, error) {
	var proof secure.Proof
	var own error // why this side has nothing to present
	protocol := c.Security.Dials(h.Role)
	side := secure.Side{
		Certificate: func(ctx context.Context, protocol string) (cert *tls.Certificate, err error) {
			cert, own = c.Security.Certificate(ctx, protocol)
			return cert, own
		},
		Check: func(cs *tls.ConnectionState) (err error) {
			if cs.NegotiatedProtocol != protocol {
				return errNoProtocol
			}
			proof, err = c.Security.Check(h.Role, cs)
			return err
		},
	}
	under := &carrier{Conn: conn}
	over := &tlsConn{tls.Client(under, side.Client(protocol)), under}
	if err := over.HandshakeContext(ctx); err != nil {
		if own != nil {
			return conn, secure.Proof{}, own
		}
		return conn, secure.Proof{}, explained(err, protocol)
	}
	cs := over.ConnectionState()
	proof.State = &cs // that of Check cannot export keying material
	return over, proof, mayDial(h, proof)
}

// secureAccepted makes TLS of a connection that was accepted. verdict is why the other side is not
// believed. TLS could say so with an alert only, the same for all reasons. So the verdict goes into
// the answer to the hello, and until then nothing of the connection is used.
func (c *Config) secureAccepted(conn net.Conn, arrival *arrival) (over net.Conn, proof secure.Proof, verdict, err error) {
	under := &carrier{Conn: conn, arrival: arrival}
	if arrival != nil {
		under.crypto = arrival.places.crypto
	}
	side := secure.Side{
		Certificate: func(ctx context.Context, protocol string) (*tls.Certificate, error) {
			under.pause() // it may wait
			defer under.resume()
			return c.Security.Certificate(ctx, protocol)
		},
		Check: func(cs *tls.ConnectionState) error {
			if cs.NegotiatedProtocol == "" {
				return errNoProtocol
			}
			proof, verdict = c.Security.Check(0, cs)
			return nil
		},
	}
	accepts := c.Security.Accepts()
	var offered []string
	config := side.Server(accepts...)
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		offered = hello.SupportedProtos
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	secured := &tlsConn{tls.Server(under, config), under}
	err = secured.HandshakeContext(ctx)
	under.handshakeDone()
	if err != nil {
		header, plain := errors.AsType[tls.RecordHeaderError](err)
		switch {
		case !under.got:
			err = fmt.Errorf("%w: %w", errNoHello, err)
		case plain && header.Conn != nil:
			m := mistakeOf(header.RecordHeader[:], true)
			farewell(conn, m.answer)
			err = strangerError{m.err, ErrPlain}
		default:
			err = strangerAt(err, explainedAccept(err, offered, accepts))
		}
		return conn, secure.Proof{}, nil, err
	}
	cs := secured.ConnectionState()
	proof.State = &cs
	return secured, proof, verdict, nil
}
