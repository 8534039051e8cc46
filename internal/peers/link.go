package peers

import (
	"sync/atomic"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/memnet"
)

// Link is a link to a peer: this node's direction of a Conn, or the loopback, whose near end is
// not registered. A Conn may need its writer before it carries a link, to answer pings.
type Link struct {
	*link.Writer
	Throttle link.Throttle // of readers that append to it

	conn  *Conn
	probe probe

	reserved atomic.Int64  // bytes that wait in streams for it; sources wait above twice Low
	room     notify.Change // reserved has come down to Low
}

func (s *Set) newLink(c *Conn) *Link {
	return &Link{Writer: link.NewWriter(c.nc, s.cfg.LinkQueue, s.cfg.LinkLow), conn: c}
}

// Peer returns the incarnation at the other end.
func (l *Link) Peer() ring.Ref { return l.conn.peer }

// Reserve counts bytes that begin to wait in a stream for the link.
func (l *Link) Reserve(n int) { l.reserved.Add(int64(n)) }

// Release takes back what Reserve has counted. It wakes the sources that wait for the link to have
// room.
func (l *Link) Release(n int) {
	if after := l.reserved.Add(-int64(n)); after <= int64(l.Low()) && after+int64(n) > int64(l.Low()) {
		l.room.Broadcast()
	}
}

// Reserved returns how many bytes wait in streams for the link.
func (l *Link) Reserved() int64 { return l.reserved.Load() }

// Crowded returns a channel to wait for if streams have reserved too much: twice as much as the
// mark below which waiting sources go on. Else it returns nil.
func (l *Link) Crowded() <-chan struct{} {
	if l.reserved.Load() <= 2*int64(l.Low()) {
		return nil
	}
	room := l.room.Next()
	if l.reserved.Load() <= 2*int64(l.Low()) {
		return nil
	}
	return room
}

// HasLink reports whether there is a working link to this incarnation of a node.
func (s *Set) HasLink(id, inc uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l, ok := s.links[id]
	return ok && l.conn.peer.Incarnation == inc
}

// Links returns the links to peers.
func (s *Set) Links() []*Link {
	s.mu.RLock()
	defer s.mu.RUnlock()
	links := make([]*Link, 0, len(s.links))
	for _, l := range s.links {
		links = append(links, l)
	}
	return links
}

// install makes l the link to its peer and returns the link that it replaces, which the caller
// must retire. It needs mu.
func (s *Set) install(l *Link) (old *Link) {
	id := l.conn.peer.ID
	if old = s.links[id]; old != nil {
		old.conn.sendState = dirEnded
	}
	delete(s.unanswered, id)
	s.links[id] = l
	s.rebuild()
	return old
}

// Unlink takes a link that has ended out of use. The first to notice calls it: the connection's
// reader, or a goroutine with a frame for the link, which then looks for another way at once.
func (s *Set) Unlink(l *Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.links[l.conn.peer.ID] != l {
		return
	}
	delete(s.links, l.conn.peer.ID)
	s.rebuild()
	select {
	case s.Broken <- struct{}{}:
	default:
	}
}

// Loopback returns the link of the node to itself, or nil if the set is closed: a pair of
// connected buffers with the same writer and reader as any link, so that a message to oneself
// follows the same rules. The first call returns its far end too, which the caller reads. To hand
// frames over directly was rejected: it would take locks in a circle.
func (s *Set) Loopback() (l *Link, far *Conn) {
	s.mu.RLock()
	l = s.loop
	s.mu.RUnlock()
	if l != nil {
		return l, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loop == nil && !s.closed {
		near, end := memnet.Pipe()
		self := ring.Ref{ID: s.cfg.Self, Incarnation: s.cfg.Incarnation}
		s.loop = s.newLink(&Conn{s: s, nc: near, peer: self})
		far = s.newConn(end, self, false)
	}
	return s.loop, far
}
