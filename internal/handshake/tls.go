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

// maxStranger bounds the bytes of a handshake of TLS on the accepting side. Ours take less than 3 KiB.
// Package tls keeps up to 64 KiB of a message, and 256 KiB of certificates, of a side that has proven
// nothing: 1,024 such connections would be 256 MiB.
const maxStranger = 16 << 10

var errTooMuch = fmt.Errorf("refused: a handshake of more than %d bytes", maxStranger)

// watched is the transport's connection below TLS, while an accepted connection is in its handshake.
// Its goroutine owns it.
type watched struct {
	net.Conn
	got     int           // how many bytes have arrived
	arrival *arrival      // or nil
	crypto  chan struct{} // see places; nil for none
	holds   bool          // it has a place in crypto
}

func (c *watched) Read(b []byte) (int, error) {
	c.pause()
	c.arrival.await()
	n, err := c.Conn.Read(b[:min(len(b), maxStranger+1-c.got)])
	c.arrival.work()
	if err == nil || n > 0 { // else it has ended, as one that had to make room, and computes no more
		c.resume()
	}
	if c.got += n; c.got > maxStranger {
		return 0, errTooMuch
	}
	return n, err
}

func (c *watched) Write(b []byte) (int, error) {
	c.pause()
	n, err := c.Conn.Write(b)
	if err == nil {
		c.resume()
	}
	return n, err
}

// pause gives the place in crypto back while the handshake does not compute, and resume waits for
// one.
func (c *watched) pause() {
	if c.holds {
		c.holds = false
		<-c.crypto
	}
}

func (c *watched) resume() {
	if c.crypto != nil {
		c.crypto <- struct{}{}
		c.holds = true
	}
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
	over := secure.NewClient(conn, side.Client(protocol))
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
	under := &watched{Conn: conn, arrival: arrival}
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
	secured := secure.NewServer(under, config)
	err = secured.HandshakeContext(ctx)
	under.pause()
	if err != nil {
		header, plain := errors.AsType[tls.RecordHeaderError](err)
		switch {
		case under.got == 0:
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
	secured.Below(conn)
	cs := secured.ConnectionState()
	proof.State = &cs
	return secured, proof, verdict, nil
}
