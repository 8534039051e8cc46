package handshake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"time"
)

// checkedTransport checks that a program's transport does what [Transport] says. A fault is an
// error that names the transport, not a panic later on. It returns the transport's own connections,
// since those of package net are written to in a special way.
type checkedTransport struct{ Transport }

func (t checkedTransport) Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := t.Transport.Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	if IsNil(l) {
		return nil, fmt.Errorf("the transport %T returned neither a listener on %q nor an error", t.Transport, addr)
	}
	if _, _, err := NetHostPort(l.Addr()); err != nil {
		l.Close()
		return nil, fmt.Errorf("the transport %T listens on %w", t.Transport, err)
	}
	return l, nil
}

func (t checkedTransport) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := t.Transport.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if IsNil(conn) {
		return nil, fmt.Errorf("the transport %T returned neither a connection to %q nor an error", t.Transport, addr)
	}
	if err := setDeadline(conn, time.Time{}); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// acceptFrom is Accept with that check.
func acceptFrom(l net.Listener) (net.Conn, error) {
	conn, err := l.Accept()
	if err == nil && IsNil(conn) {
		err = fmt.Errorf("the listener %T returned neither a connection nor an error", l)
	}
	return conn, err
}

// setDeadline bounds a connection's reads and writes. A connection without deadlines could block
// its goroutine for ever.
func setDeadline(conn net.Conn, t time.Time) error {
	if err := conn.SetDeadline(t); err != nil {
		return fmt.Errorf("the connection %T takes no deadline: %w", conn, err)
	}
	return nil
}

// IsNil reports whether an interface is nil or holds a nil pointer, so that no method can be
// called.
func IsNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// NetHostPort splits an address of a transport into host and port.
func NetHostPort(a net.Addr) (host, port string, err error) {
	if IsNil(a) {
		return "", "", errors.New("an address that is nil, and not host:port")
	}
	if host, port, err = net.SplitHostPort(a.String()); err != nil {
		return "", "", fmt.Errorf("the address %q, which is not host:port", a)
	}
	return host, port, nil
}
