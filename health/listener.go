package health

import (
	"net"
	"time"
)

// writeLimit is how long a write below TLS may last. It is longer than the deadlines of a page.
const writeLimit = 15 * time.Second

// Listener returns a listener for a server of TLS, to be wrapped by [crypto/tls.NewListener]: its
// connections are closed when a write lasts longer than 15 s.
//
// Package tls answers a request for new keys (RFC 8446, section 4.6.3) on the goroutine that reads,
// and holds the lock of the writers. With a client that does not read it waits there. A read
// deadline does not end that, and Close of the connection waits for the lock: so a server's end would
// wait for a client.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return boundedConn{c}, nil
}

type boundedConn struct{ net.Conn }

func (c boundedConn) Write(b []byte) (int, error) {
	timer := time.AfterFunc(writeLimit, func() { c.Conn.Close() })
	defer timer.Stop()
	return c.Conn.Write(b)
}
