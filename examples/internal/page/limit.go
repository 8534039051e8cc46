package page

import (
	"net"
	"sync"
)

// limited is a listener with a bound on open connections. More connections wait in the
// system's queue until one is closed.
type limited struct {
	net.Listener
	slots chan struct{}
	once  sync.Once
	done  chan struct{} // closed with the listener
}

func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, slots: make(chan struct{}, n), done: make(chan struct{})}
}

// Accept implements [net.Listener].
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &counted{Conn: conn, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close implements [net.Listener].
func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// counted is a connection of a limited listener.
type counted struct {
	net.Conn
	free func()
}

// Close implements [net.Conn].
func (c *counted) Close() error {
	defer c.free()
	return c.Conn.Close()
}
