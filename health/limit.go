package health

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// Limit bounds the open connections of a server that is not started yet. A connection beyond the
// bound takes the place of the one that has waited longest without a request: an idle one, or one
// whose first one is not complete. So neither idle browsers nor slow clients shut out a probe. If all
// are in a request, the newcomer is closed.
func Limit(s *http.Server, connections int) {
	l := &limit{most: connections, open: make(map[net.Conn]*list.Element), waiting: list.New()}
	next := s.ConnState
	s.ConnState = func(c net.Conn, state http.ConnState) {
		l.change(c, state)
		if next != nil {
			next(c, state)
		}
	}
}

type limit struct {
	most int

	mu      sync.Mutex
	open    map[net.Conn]*list.Element // nil while a request is served
	waiting *list.List                 // of net.Conn without a request; the first has waited longest
}

// change follows the states of a connection.
func (l *limit) change(c net.Conn, state http.ConnState) {
	if loser := l.account(c, state); loser != nil {
		closeNow(loser)
	}
}

// closeNow closes a connection without a word. The Close of TLS sends an alert first, and waits for
// what is being written: this is the goroutine that accepts.
func closeNow(c net.Conn) {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = over.NetConn()
	}
	c.Close()
}

// account returns the connection to close, or nil.
func (l *limit) account(c net.Conn, state http.ConnState) (loser net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, open := l.open[c]
	if !open && state != http.StateNew { // it has lost its place
		return nil
	}
	if e != nil {
		l.waiting.Remove(e)
	}
	switch state {
	case http.StateActive:
		l.open[c] = nil
	case http.StateNew, http.StateIdle:
		l.open[c] = l.waiting.PushBack(c)
	default:
		delete(l.open, c)
	}
	if len(l.open) <= l.most {
		return nil
	}
	loser = l.waiting.Remove(l.waiting.Front()).(net.Conn)
	delete(l.open, loser)
	return loser
}
