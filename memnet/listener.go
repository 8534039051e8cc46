package memnet

import (
	"container/list"
	"net"
	"sync"
)

// maxBacklog is how many connections a listener holds for Accept. Further dials wait.
// The package documentation says 128.
const maxBacklog = 128

type listener struct {
	// static
	host *Host
	port int
	addr textAddr

	// guarded by host.net.mu
	arrived sync.Cond // on host.net.mu: the backlog has grown, or the listener was closed
	backlog []*conn
	waiting list.List // of *dial: waiting for room in the backlog
	closed  bool
}

// Accept waits for a connection. Its error matches net.ErrClosed once the listener is closed.
func (l *listener) Accept() (net.Conn, error) {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(l.backlog) == 0 && !l.closed {
		l.arrived.Wait()
	}
	if l.closed {
		return nil, l.opError("accept", net.ErrClosed)
	}
	c := l.backlog[0]
	l.backlog[0] = nil
	if l.backlog = l.backlog[1:]; len(l.backlog) == 0 {
		l.backlog = nil // an idle listener holds no memory
	}
	for len(l.backlog) < maxBacklog && l.waiting.Len() > 0 {
		n.try(l.waiting.Front().Value.(*dial)) // there is room, so it leaves the queue
	}
	return c, nil
}

// Close frees the port, resets connections that were not accepted, and refuses waiting dials.
// A second Close returns an error matching net.ErrClosed, as for TCP.
func (l *listener) Close() error {
	n := l.host.net
	n.mu.Lock()
	if l.closed {
		n.mu.Unlock()
		return l.opError("close", net.ErrClosed)
	}
	l.closed = true
	delete(l.host.listeners, l.port)
	orphans := l.backlog
	l.backlog = nil
	n.tryAll(&l.waiting)
	l.arrived.Broadcast()
	n.mu.Unlock()

	for _, c := range orphans {
		c.end(reset) // takes n.mu itself
	}
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: network, Addr: l.addr, Err: err}
}
