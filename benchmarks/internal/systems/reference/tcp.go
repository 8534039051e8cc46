package reference

import (
	"context"
	"errors"
	"net"
	"runtime"
)

// sendBuffer is the size of the kernel's send buffer at both ends of every connection here.
// It is the size that ringdht gives to connections within one machine: see
// internal/link/local.go. A test compares the two.
const sendBuffer = 192 << 10

// tune sets up a connection as ringdht does.
func tune(conn net.Conn) net.Conn {
	if c, ok := conn.(*net.TCPConn); ok && runtime.GOOS == "linux" {
		c.SetWriteBuffer(sendBuffer) // if it fails the connection is as good as before
	}
	return conn
}

// dial returns the near end of a connection.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return tune(conn), nil
}

// accept returns the far end of a connection.
func accept(l net.Listener) (net.Conn, error) {
	conn, err := l.Accept()
	if err != nil {
		return nil, err
	}
	return tune(conn), nil
}

// listen listens on a free port.
func listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", "127.0.0.1:0")
}

// pair returns the two ends of a loopback connection.
func pair(ctx context.Context) (near, far net.Conn, err error) {
	l, err := listen(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	near, err = dial(ctx, l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	far, err = accept(l) // the connection exists already, so this cannot block
	if err != nil {
		return nil, nil, errors.Join(err, near.Close())
	}
	return near, far, nil
}
